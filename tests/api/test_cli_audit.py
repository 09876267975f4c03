"""Asking the log, keeping questions, and letting people read, from the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from api.cli import app

PASSWORD = "long enough words"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run commands against one installation with two admins, an auditor and a regulator."""
    home = tmp_path_factory.mktemp("installation")

    def call(*words: object) -> Result:
        return CliRunner().invoke(
            app, [str(word) for word in words], env={"GREENLIGHT_DATA_DIR": str(home)}, catch_exceptions=False
        )

    for name, role in (("ann", "admin"), ("bob", "admin"), ("cleo", "auditor"), ("rex", "regulator")):
        assert call("review", "add", name, "--role", role, "--password", PASSWORD).exit_code == 0
    return call


def answer(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def as_(name: str, password: str = PASSWORD) -> list[str]:
    return ["--as", name, "--password", password]


def test_two_admins_let_a_regulator_read_and_one_ends_it(run: Any) -> None:
    scope = ["--partner", "local", "--days", "7", "--reason", "case 17"]
    made = answer(run("audit", "grant", "rex", *scope, *as_("ann"), "--json"))
    assert (made["state"], made["scope"]) == ("proposed", {"partner": ["local"]})
    assert run("audit", "token", *as_("rex")).exit_code == 3
    assert run("audit", "approve", made["id"], *as_("ann")).exit_code == 2
    assert run("audit", "approve", made["id"], *as_("cleo")).exit_code == 3
    assert run("audit", "approve", made["id"], *as_("bob", "a wrong password")).exit_code == 3
    assert answer(run("audit", "approve", made["id"], *as_("bob"), "--json"))["state"] == "active"
    assert answer(run("audit", "token", *as_("rex"), "--json"))["token"].startswith("gla_")
    (row,) = answer(run("audit", "grants", "--json"))
    assert (row["person"], row["proposed_by"], row["approved_by"]) == ("rex", "ann", "bob")
    ended = run("audit", "revoke", made["id"], "--reason", "case closed", *as_("ann"), "--json")
    assert answer(ended)["state"] == "revoked"
    assert run("audit", "token", *as_("rex")).exit_code == 3
    for words in (["nobody"], ["cleo", "--partner", "local"], ["rex"]):
        assert run("audit", "grant", *words, "--reason", "case 18", *as_("ann")).exit_code == 2
    tags = ["--tag", "grant:proposed", "--tag", "grant:approved", "--tag", "grant:revoked"]
    told = answer(run("audit", "query", *tags, "--prove", "--json"))
    assert [entry["leaf"]["tag"] for entry in told["entries"]] == tags[1::2]


def test_a_kept_question_is_asked_and_exported(run: Any, tmp_path: Path) -> None:
    run("audit", "query", "--reviewer", "ann")
    assert answer(run("audit", "save", "Asked", "--where", "tag=audit:queried", "--json"))["filter"] == {
        "tag": ["audit:queried"]
    }
    assert [row["name"] for row in answer(run("audit", "saved", "--json"))] == ["Asked"]
    told = answer(run("audit", "query", "--saved", "Asked", "--prove", "--json"))
    assert told["query"] == {"tag": ["audit:queried"]}
    assert len(told["entries"]) >= 1
    out = tmp_path / "asked.csv"
    count = answer(run("audit", "export", "-o", out, "--saved", "Asked", "--form", "csv", "--json"))["count"]
    assert [row["tag"] for row in csv.DictReader(out.read_text().splitlines())] == ["audit:queried"] * count
    lines = tmp_path / "asked.jsonl"
    assert run("audit", "export", "-o", lines, "--where", "actor=operator").exit_code == 0
    assert all(json.loads(line)["leaf"]["actor"] == "operator" for line in lines.read_text().splitlines())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["asked.csv", "asked.jsonl"]


@pytest.mark.parametrize(
    "words",
    [
        ["query", "--since", "2026-02-01", "--until", "2026-01-01"],
        ["query", "--tag", "clip:lost"],
        ["query", "--cursor", "A" * 32],
        ["query", "--limit", "100000"],
        ["query", "--saved", "nothing"],
        ["query", "--saved", "Asked", "--tag", "clip:held"],
        ["export", "-o", "OUT", "--where", "colour=red"],
        ["export", "-o", "OUT", "--where", "red"],
        ["export", "-o", "OUT", "--form", "xml"],
        ["export", "-o", "/nowhere/at/all.jsonl"],
        ["save", " "],
        ["approve", "grant_none", *as_("ann")],
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_bad_input_gets_a_sentence_and_leaves_nothing(run: Any, tmp_path: Path, words: list[str]) -> None:
    result = run("audit", *[str(tmp_path / "out") if word == "OUT" else word for word in words])
    assert result.exit_code == 2, result.output
    assert result.stderr.strip()
    assert list(tmp_path.iterdir()) == []
