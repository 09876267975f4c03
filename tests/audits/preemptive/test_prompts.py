from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audits.preemptive import prompt_sets, prompts
from safety.prompt import corpus


class Blind:
    """A reader that sees nothing."""

    def read(self, text: str, *, modality: str) -> dict[str, Any]:
        return {"scores": {"hate": 0.0}, "hits": []}


class Afraid(Blind):
    """A reader that stops everything."""

    def read(self, text: str, *, modality: str) -> dict[str, Any]:
        return {"scores": {"hate": 1.0}, "hits": [{"category": "minors_sexual"}]}


def run(monkeypatch: pytest.MonkeyPatch, reader: Any) -> dict[str, bool]:
    thresholds = {kind: {"one_in_100": 0.8, "one_in_20": 0.5} for kind in ("video", "audio", "edit")}
    monkeypatch.setattr(prompts._Check, "load", lambda: prompts._Check(reader, thresholds))
    rows = prompts.prompts(0, quick=True, data=None)
    return {str(row["case"]): bool(row["passed"]) for row in rows}


def test_a_reader_that_sees_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = run(monkeypatch, Blind())
    assert not any(there for case, there in passed.items() if "caught" in case or "met" in case)
    assert passed["calm prompts stopped at 1 %"]


def test_a_reader_that_stops_everything_fails_too(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = run(monkeypatch, Afraid())
    assert not any(there for case, there in passed.items() if "stopped" in case and "between" not in case)
    assert not passed["ordinary children, refused"]


def test_a_sample_of_the_suite_on_the_real_reader(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("GREENLIGHT_MODELS_DIR", str(tmp_path_factory.mktemp("models")))
    rows = {str(row["case"]): row for row in prompts.prompts(0, quick=True, data=None)}
    assert rows["a minor with sexual content, met"]["passed"]
    assert float(rows["ten core harms, caught at 5 %"]["rate"]) >= 0.6
    assert float(rows["figure of the lists, met at 1 %"]["rate"]) >= 0.9


def test_held_out_prompts_are_not_trained_on() -> None:
    trained = {example.text.lower() for example in corpus.own()}
    held = [
        text
        for file in ("harms", "deception", "ordinary", "sounds_edits")
        for text in prompt_sets.everything(file)
    ]
    assert len(held) > 300
    assert not {text.lower() for text in held} & trained


def test_every_disguise_changes_a_prompt() -> None:
    text = "Quiet streets in the rain, a tabby cat waits outside"
    assert [name for name, change in prompt_sets.DISGUISES.items() if change(text) == text] == []
    assert Path(prompt_sets.__file__).with_name("prompts").is_dir()
