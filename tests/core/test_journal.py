from __future__ import annotations

import json
from typing import Any

import pytest
import structlog
from sqlalchemy.exc import IntegrityError

from core.errors import BadInput
from core.journal import start_journal
from core.tables import Partner
from pipeline.intake import Ask, submit
from pipeline.run import advance
from tests.conftest import ManualClock
from tests.doubles import TinyEngine, add_partner, make_tools

PROMPT = "amaranth fields at dawn"


class Talkative(TinyEngine):
    """An engine whose errors quote what it was asked for, as libraries do."""

    def render(self, shot: Any, _into: Any, _tick: Any) -> Any:
        try:
            int(shot.prompt)
        except ValueError as error:
            raise RuntimeError(f"no clip of {shot.prompt!r}") from error


def journal_of(tmp_path: Any, clock: ManualClock, capsys: Any) -> str:
    tools = make_tools(tmp_path, clock, engine=lambda _name: Talkative())
    add_partner(tools.store)
    with tools.store.session() as session:
        job, _ = submit(session, tools, "acme", Ask(prompt=PROMPT))
        session.commit()
    for _ in range(2):
        advance(tools, "w", job.id)
    said: str = capsys.readouterr().err
    return said


def test_an_error_that_quotes_the_prompt_does_not_bring_it_into_the_journal(
    tmp_path: Any, clock: ManualClock, capsys: Any
) -> None:
    said = journal_of(tmp_path, clock, capsys)
    assert "amaranth" not in said
    line = json.loads(said.splitlines()[-1])
    assert line["exception"].startswith("RuntimeError at ")
    assert "caused by ValueError at " in line["exception"]
    assert "test_journal.py" in line["exception"]


def test_the_control_quotes_it(tmp_path: Any, clock: ManualClock, capsys: Any) -> None:
    kept = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    try:
        assert "amaranth" in journal_of(tmp_path, clock, capsys)
    finally:
        structlog.configure(**kept)


def test_what_our_own_errors_say_is_written(capsys: Any) -> None:
    start_journal()
    structlog.get_logger("x").error("refused", exc_info=BadInput("seconds must be above 0"))
    assert "BadInput (seconds must be above 0) at " in capsys.readouterr().err


def test_a_database_error_does_not_quote_what_it_could_not_write(tmp_path: Any, clock: ManualClock) -> None:
    tools = make_tools(tmp_path, clock)
    add_partner(tools.store)
    with tools.store.session() as session:
        session.add(Partner(id="acme", name=PROMPT, created_ms=0))
        with pytest.raises(IntegrityError) as caught:
            session.flush()
    assert "amaranth" not in str(caught.value)
