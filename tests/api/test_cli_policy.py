"""Policies and restricted users from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from api.cli import app
from core.decision import to_json
from policies.engine import default_pack, load
from policies.facts import filled
from tests.api.world import PASSWORD
from tests.pipeline.test_packs import overlay, pack


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run commands against one installation in a folder of its own."""
    environment = {"GREENLIGHT_DATA_DIR": str(tmp_path_factory.mktemp("installation"))}

    def call(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], env=environment)

    return call


def stored(folder: Path, scores: dict[str, float]) -> Path:
    """A file of decisions of the default pack, one for each score."""
    made = load(default_pack())
    path = folder / "stored.jsonl"
    decisions = [
        made.decide("prompt", filled("prompt", {"scores": {name: score}})) for name, score in scores.items()
    ]
    path.write_text("".join(json.dumps(to_json(one)) + "\n" for one in decisions))
    return path


def tighter(folder: Path) -> Path:
    text = yaml.safe_load(default_pack().read_text())
    text["thresholds"]["hate"] = 0.5
    path = folder / "tighter.yaml"
    path.write_text(yaml.safe_dump(text))
    return path


def test_the_same_pack_decides_the_same_and_another_says_what_changes(run: Any, tmp_path: Path) -> None:
    file = stored(tmp_path, {"hate": 0.6, "sexual": 0.9, "privacy": 0.1})
    same = run("policy", "backtest", "--from", file, "--json")
    assert same.exit_code == 0
    told = json.loads(same.stdout)
    assert (told["decisions"], told["changed"], told["same_pack"], told["not_identical"]) == (3, 0, 3, 0)
    changed = json.loads(run("policy", "backtest", tighter(tmp_path), "--from", file, "--json").stdout)
    assert changed["outcomes"] == {"allow → hold": 1}
    assert changed["rules"] == {"hate_scored": {"more": 1, "fewer": 0}}
    for words in ([], ["--against", default_pack()]):
        (row,) = json.loads(
            run("policy", "diff", tmp_path / "tighter.yaml", "--from", file, *words, "--json").stdout
        )
        assert (row["was"], row["now"], row["went"]) == ("allow", "hold", [])
        assert row["came"][0]["facts"] == [{"category": "hate", "score": 0.6, "threshold": 0.5}]
    shown = run("policy", "diff", tmp_path / "tighter.yaml", "--from", file)
    assert "+ hate_scored (hold)" in shown.stdout


def test_a_stored_decision_that_was_changed_is_found(run: Any, tmp_path: Path) -> None:
    file = stored(tmp_path, {"hate": 0.9})
    body = json.loads(file.read_text())
    body["facts"]["scores"]["hate"] = 0.1
    file.write_text(json.dumps(body))
    found = run("policy", "backtest", "--from", file, "--json")
    assert (found.exit_code, json.loads(found.stdout)["not_identical"]) == (1, 1)
    file.write_text("nonsense\n")
    assert run("policy", "backtest", "--from", file).exit_code == 2
    assert run("policy", "backtest", "--from", tmp_path / "absent").exit_code == 2


def test_what_was_decided_here_is_decided_again_under_what_made_it(run: Any) -> None:
    told = json.loads(run("policy", "backtest", "--own", "--json").stdout)
    assert told["not_identical"] == 0
    assert told["decisions"] == told["same_pack"]
    assert run("policy", "backtest", "--own", default_pack()).exit_code == 2


def test_the_shipped_overlays_fit_the_default_pack(run: Any) -> None:
    folder = default_pack().parent.parent / "overlays"
    for path in sorted(folder.glob("*.yaml")):
        assert run("policy", "test", path).exit_code == 0, path.name
        assert run("policy", "lint", path).exit_code == 0


def test_a_policy_lives_from_the_command_line(run: Any, tmp_path: Path) -> None:
    for name in ("ada", "ben"):
        assert run("review", "add", name, "--password", PASSWORD, "--role", "admin").exit_code == 0
    (tmp_path / "pack.yaml").write_bytes(pack())
    (tmp_path / "de.yaml").write_bytes(overlay())
    ada, ben = (["--as", name, "--password", PASSWORD, "--json"] for name in ("ada", "ben"))
    added = run("policy", "add", tmp_path / "pack.yaml", *ada)
    assert added.exit_code == 0
    digest = json.loads(added.stdout)["id"]
    assert run("policy", "shadow", digest[:12], *ada).exit_code == 0
    assert run("policy", "activate", digest[:12], *ada).exit_code == 2
    assert (
        run("policy", "activate", digest[:12], "--as", "ben", "--password", "wrong wrong wrong").exit_code
        == 3
    )
    assert run("policy", "activate", digest[:12], *ben).exit_code == 0
    listed = json.loads(run("policy", "list", "--json").stdout)
    assert (listed["decides"]["sha256"], listed["policies"][0]["state"]) == (digest, "active")
    overlaid = json.loads(run("policy", "add", tmp_path / "de.yaml", *ada).stdout)["id"]
    shown = json.loads(run("policy", "show", overlaid, "--json").stdout)
    assert shown["changes"] == [
        {"rule": "hate_scored", "outcome": "hold", "was": "hold", "threshold": 5000, "threshold_was": 8000}
    ]
    assert run("policy", "withdraw", overlaid, *ada).exit_code == 0
    assert run("policy", "rollback", "--reason", "it was wrong", *ben).exit_code == 0
    assert json.loads(run("policy", "list", "--json").stdout)["decides"]["name"] == "default"


def test_nobody_is_restricted_here(run: Any) -> None:
    assert json.loads(run("users", "list", "--json").stdout) == []
    told = json.loads(run("users", "show", "local", "jane-77", "--json").stdout)
    assert (told["level"], told["list"]) == ("none", [])
    assert run("users", "lift", "local", "jane-77", "--reason", "long enough").exit_code == 2
