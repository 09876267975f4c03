"""A precheck against the pipeline on many prompts, read by the real reader: plain, disguised, named, in other languages."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.precheck import asked, precheck
from pipeline.tools import Tools
from safety.prompt import PromptReader, build, templates
from tests.conftest import ManualClock
from tests.doubles import add_partner, make_tools
from tests.pipeline.test_precheck import piped

FOREIGN = (
    "Una playa tranquila al amanecer con olas suaves",
    "Ein nackter Mann läuft durch die Stadt",
    "夜明けの海と静かな波",
    "Путин танцует на площади",
    "\U0001f30a\U0001f30a",
)
DISGUISES = (str, str.upper, ".".join, lambda text: text[::-1], "\u200b".join)


def prompts() -> list[tuple[str, Any]]:
    """Take some of our own templates, by turns in one disguise or another."""
    lines = [line for line in templates.written(0) if line.register in {"video", "audio"}][::400]
    own = [
        (change(line.text), line.register)
        for line, change in zip(lines, itertools.cycle(DISGUISES), strict=False)
    ]
    return [*own, *((text, "video") for text in FOREIGN)]


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock, models_dir: Path) -> Tools:
    build(models_dir)
    reader = PromptReader.load(models_dir)
    made = make_tools(tmp_path, clock)
    add_partner(made.store)
    return replace(made, read_prompt=lambda _s, text, modality: reader.read(text, modality=modality))


def test_a_precheck_decides_what_the_pipeline_decides(tools: Tools) -> None:
    outcomes = set()
    for number, (text, modality) in enumerate(prompts()):
        ask = replace(asked(text, modality), seed=number)
        mine = precheck(tools, "acme", ask, modality).decision
        assert piped(tools, ask) == mine, text
        outcomes.add(mine.outcome)
    assert outcomes == {"allow", "hold", "refuse"}
