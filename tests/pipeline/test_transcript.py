"""What is said in a clip is judged by the rules for prompts; without a recogniser that is said, and nothing else changes."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select

from core.clock import Clock
from core.finding import Screening
from core.media.clip import Clip
from core.state import State
from core.tables import Job, Ruling
from pipeline.intake import Ask, submit
from pipeline.run import advance
from tests.doubles import Eyes, add_partner, make_tools, reading

HATE = [{"category": "hate", "term": "x", "span": [0, 1], "view": "text", "intent": "promote"}]


@dataclass
class Ears(Eyes):
    """Writes down what it is told to have heard."""

    said: str | None = None

    def look(self, clip: Clip) -> Future[Screening]:
        future: Future[Screening] = Future()
        future.set_result(replace(super().look(clip).result(), transcript=self.said))
        return future


def _screened(tmp_path: Path, clock: Clock, said: str | None, **changes: Any) -> tuple[Job, dict[str, Any]]:
    def read(_session: Any, text: str, _modality: str) -> dict[str, Any]:
        return reading(text, hits=HATE if "hateful" in text else [])

    tools = make_tools(
        tmp_path, clock, detectors=(Eyes("likeness"), Ears("voice", said=said)), read_prompt=read, **changes
    )
    add_partner(tools.store)
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt="Waves at dawn", seed=1))
        session.commit()
    for _ in range(3):
        advance(tools, "w", job.id)
    with tools.store.reading() as session:
        found = session.exec(select(Job)).one()
        ruling = session.exec(select(Ruling).where(Ruling.stage == "screen")).one()
    tools.store.close()
    return found, ruling.decision


@pytest.mark.parametrize("said", [None, "", "The sea is calm."])
def test_nothing_or_harmless_words_clear(tmp_path: Path, clock: Clock, said: str | None) -> None:
    job, decision = _screened(tmp_path, clock, said)
    assert job.state == State.CLEARED
    transcript = decision["facts"]["transcript"]
    assert transcript["status"] == ("none" if said is None else "read")
    assert transcript["outcome"] == ("" if said is None else "allow")


def test_words_that_a_prompt_may_not_use_hold_the_clip_and_are_not_kept(tmp_path: Path, clock: Clock) -> None:
    job, decision = _screened(tmp_path, clock, "Something hateful.")
    assert (job.state, job.held_at) == (State.HELD, "screen")
    assert [rule["reason_code"] for rule in decision["rules"]] == ["spoken_content"]
    transcript = decision["facts"]["transcript"]
    assert transcript["status"] == "read"
    assert transcript["outcome"] in ("hold", "refuse")
    assert "hate" in transcript["reasons"]
    assert "hateful" not in str(decision)
