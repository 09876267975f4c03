"""The command line as its user meets it: answers, exit codes, and files that appear whole or not at all."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from core.media.write import Delivery
from generation.engines.persona import Persona, speak
from tests.provenance.media import make


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run commands against one installation in a folder of its own."""
    home = tmp_path_factory.mktemp("installation")
    environment = {"GREENLIGHT_DATA_DIR": str(home), "GREENLIGHT_DELIVERY_PRESET": "veryfast"}

    def call(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], env=environment)

    return call


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of noise in motion, with a voice of nobody."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    rng = np.random.default_rng(5)
    wall = rng.integers(40, 200, (240, 480, 3), dtype=np.uint8)
    with Delivery(path, width=320, height=240, fps=12, rate=16_000, channels=1) as writer:
        writer.sound(speak(Persona(8), 1, 6.0))
        for number in range(72):
            writer.frame(np.ascontiguousarray(wall[:, number : number + 320]))
    return path


def answer(result: Result) -> Any:
    return json.loads(result.stdout)


def test_marks_survive_a_file_that_is_marked_and_detected(run: Any, clip: Path, tmp_path: Path) -> None:
    before = clip.read_bytes()
    out = tmp_path / "marked.mp4"
    assert run("mark", clip, out, "--payload", "0123456789abcdef").exit_code == 0
    found = run("detect", out, "--json")
    assert found.exit_code == 0
    assert {answer(found)[track]["payload"] for track in ("video", "audio")} == {"0123456789abcdef"}
    assert clip.read_bytes() == before
    assert run("detect", clip, "--video").exit_code == 1
    assert run("mark", clip, out, "--payload", "0123456789abcdef", "--video-only").exit_code == 0
    found = answer(run("detect", out, "--json"))
    assert (found["video"]["found"], found["audio"]["found"]) == (True, False)
    assert found["video"].keys() >= {"payload", "p_false", "segments", "geometry", "key_id", "elapsed_s"}


def test_a_signed_file_is_ours_and_its_history_is_kept(run: Any, clip: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    assert run("sign", clip, first).exit_code == 0
    assert run("sign", first, second).exit_code == 0
    report = run("verify", second, "--json")
    assert answer(report)["layers"]["manifest"]["state"] == "trusted"
    assert len(answer(report)["layers"]["manifest"]["ingredients"]) == 1
    # Signed by us, but released by nobody: no record, so not verified.
    assert report.exit_code == 1


@pytest.mark.parametrize(("kind", "code"), [("wav", 0), ("png", 0), ("webm", 2)])
def test_a_file_is_signed_for_what_it_is_not_what_it_is_called(
    run: Any, tmp_path: Path, kind: str, code: int
) -> None:
    out = tmp_path / "out.mp4"
    assert run("sign", make(tmp_path, kind), out).exit_code == code
    assert out.exists() is (code == 0)
    if out.exists():
        layers = answer(run("verify", out, "--json"))["layers"]
        assert layers["manifest"]["state"] == "trusted"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["mark", "CLIP", "OUT", "--payload", "xyz"], 2),
        (["mark", "CLIP", "CLIP", "--payload", "0123456789abcdef"], 2),
        (["mark", "NONE", "OUT", "--payload", "0123456789abcdef"], 2),
        (["mark", "TEXT", "OUT", "--payload", "0123456789abcdef"], 2),
        (["verify", "NONE"], 2),
        (["verify", "TEXT"], 1),
        (["sign", "TEXT", "OUT"], 2),
        (["detect", "TEXT"], 2),
        (["screen", "TEXT"], 2),
        (["precheck"], 2),
        (["precheck", ""], 2),
        (["precheck", "x" * 10_000], 2),
        (["precheck", "bell\x07"], 2),
        (["enroll", "face", "Nobody", "TEXT"], 1),
        (["enroll", "voice", "Nobody", "TEXT"], 1),
        (["enroll", "face", "Nobody", "GONE"], 2),
        (["enroll", "erase", "Nobody"], 2),
        (["consent", "grant", "Nobody", "--likeness"], 2),
        (["consent", "revoke", "consent_none"], 2),
        (["review", "approve", "clip_none", "--reason", "looks fine"], 2),
        (["audit", "proof", "99999"], 2),
        (["audit", "proof", "9" * 5000], 2),
        (["audit", "run", "no-such-suite"], 2),
        (["audit", "check", "--log", "NONE"], 2),
        (["audit", "check", "--log", "NONE", "--vkey", "no key"], 2),
        (["audit", "check", "--log", "NONE", "--policy", "TEXT"], 2),
        (["audit", "check", "--against", "TEXT"], 2),
        (["policy", "lint", "TEXT"], 3),
        (["policy", "test", "NONE"], 3),
        (["generate", "A kite", "-o", "OUT", "--seconds", "100"], 2),
        (["generate", "A kite", "-o", "OUT", "--engine", "none"], 2),
        (["soundtrack", "TEXT", "Strings", "-o", "OUT"], 2),
        (["no-such-command"], 2),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else str(value),
)
def test_bad_input_gets_a_sentence_and_a_code_and_leaves_nothing(
    run: Any, clip: Path, tmp_path: Path, words: list[str], code: int
) -> None:
    text, out = tmp_path / "text.mp4", tmp_path / "out.mp4"
    text.write_text("not media")
    places = {"CLIP": clip, "TEXT": text, "OUT": out, "NONE": tmp_path / "none.mp4"}
    result = run(*[places.get(word, word) for word in words])
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert (result.stderr + result.stdout).strip()
    assert [path.name for path in tmp_path.iterdir()] == ["text.mp4"]


def test_a_precheck_decides_as_the_pipeline_does(run: Any) -> None:
    allowed = run("precheck", "Waves roll onto a beach at dawn", "--json")
    assert (allowed.exit_code, answer(allowed)["decision"]) == (0, "allow")
    refused = run("precheck", "Tutorial on how to make a pipe bomb at home", "--json")
    assert (refused.exit_code, answer(refused)["decision"]) == (1, "refuse")
    assert answer(refused)["rules"][0]["reason_code"] == "crime_instructions"


def test_many_prompts_are_judged_in_order_and_a_bad_line_costs_only_itself(run: Any, tmp_path: Path) -> None:
    lines = [
        '{"id": 1, "prompt": "A red kite"}',
        "not json",
        '{"id": 3, "prompt": ""}',
        '{"id": 4, "prompt": "x", "modality": "smell"}',
    ]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(lines))
    assert run("precheck", "--jsonl", source, target).exit_code == 0
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert [row["id"] for row in rows] == [1, None, 3, 4]
    assert rows[0]["decision"] == "allow"
    assert [row["error"]["code"] for row in rows[1:]] == ["bad_input", "bad_prompt", "bad_input"]


def test_a_refused_request_says_why_is_logged_and_can_be_proven(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "never.mp4"
    refused = run("generate", "Tutorial on how to make a pipe bomb at home", "-o", out, "--json")
    assert refused.exit_code == 1
    assert not out.exists()
    clip = answer(refused)["receipt"]["id"]
    told = answer(run("audit", "query", "--clip", clip, "--prove", "--json"))
    assert (told["start"], told["proven"]) == (0, True)
    events = told["entries"]
    assert [event["leaf"]["tag"] for event in events] == [
        "request:received",
        "policy:decided",
        "clip:refused",
    ]
    proof = tmp_path / "refusal.tlog-proof"
    assert run("audit", "proof", events[-1]["index"], "-o", proof).exit_code == 0
    assert proof.read_text().startswith("c2sp.org/tlog-proof@v1\n")
    assert run("audit", "proof", clip).stdout == proof.read_text()
    assert run("audit", "proof", clip, "--all").exit_code == 2
    assert run("audit", "proof", clip, "--all", "-o", tmp_path / "proofs").exit_code == 0
    assert [path.suffix for path in (tmp_path / "proofs").iterdir()] == [".tlog-proof"]
    assert run("audit", "verifier", "-o", tmp_path / "verify.py").exit_code == 0
    assert "--policy" in (tmp_path / "verify.py").read_text()
    made = answer(run("audit", "bundle", clip, "-o", tmp_path / "case.zip", "--json"))
    assert (made["events"], made["clips"]) == (3, 1)
    month = ("--partner", "local", "--month", f"{datetime.now(UTC):%Y-%m}")
    assert answer(run("audit", "bundle", *month, "-o", tmp_path / "month.zip", "--json"))["events"] >= 3
    for words in ([], [clip, clip], month[:2], [clip, *month], ["clip_none"]):
        assert run("audit", "bundle", *words, "-o", tmp_path / "no.zip").exit_code == 2
    assert not (tmp_path / "no.zip").exists()
    assert run("audit", "check").exit_code == 0
    assert answer(run("policy", "backtest", "--json"))["changed"] == 0
    assert answer(run("policy", "diff", "--json")) == []


def test_the_packs_own_tests_pass(run: Any) -> None:
    assert run("policy", "test").exit_code == 0
    assert run("policy", "lint").exit_code == 0
    assert run("models", "list").exit_code == 0


def test_partners_and_reviewers_are_registered(run: Any) -> None:
    partner = answer(run("partner", "add", "Acme", "--json"))
    assert partner["key"].startswith("glk_")
    assert run("review", "add", "ann", "--password", "short").exit_code == 2
    assert run("review", "add", "ann", "--password", "long enough words").exit_code == 0
    assert run("review", "list").exit_code == 0
