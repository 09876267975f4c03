"""Judge many prompts: JSON lines in, JSON lines out, in order."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from core.errors import BadInput, GreenlightError
from pipeline.precheck import MODALITIES, Prechecked, account, asked, note, precheck
from pipeline.tools import Tools

ACTOR = "operator"
_MAX_LINE_BYTES = 1 << 20
_BATCH = 64
_TEXTS = ("project", "territory")
_log = structlog.get_logger("precheck")


def judge_lines(tools: Tools, partner: str, source: Path, target: Path) -> int:
    """Judge every line of `source` and answer how many; one that cannot be judged answers with its error.

    `target` appears whole, when every line was judged, or not at all. Lines are read as they are needed.
    """
    from api.cli.local import existing

    scratch = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with existing(source).open("rb") as lines, scratch.open("wb") as answers:
            count = _judge(tools, partner, lines, answers)
            answers.flush()
            os.fsync(answers.fileno())
        scratch.replace(target)
    except OSError as error:
        raise BadInput(f"{target.name} cannot be written: {error.strerror}.") from error
    finally:
        scratch.unlink(missing_ok=True)
    return count


def judge_one(tools: Tools, partner: str, prompt: str, references: tuple[str, ...] = ()) -> dict[str, Any]:
    """Judge one prompt for a video, with the uploads that it brings, and leave the event of it."""
    done = precheck(tools, partner, asked(prompt, "video", references=references), "video")
    _noted(tools, [done])
    return account(done)


def _judge(tools: Tools, partner: str, lines: BinaryIO, answers: BinaryIO) -> int:
    count, numbered = 0, _lines(lines)
    while batch := list(islice(numbered, _BATCH)):
        judged = [_judged(tools, partner, line, number) for number, line in batch]
        # The events come before the answers: what is not in the log was not told.
        _noted(tools, [done for _, done in judged if done is not None])
        answers.writelines(_line(told) for told, _ in judged)
        count += len(batch)
    return count


def _lines(lines: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Give each line that is not empty with its number; one that is too long is None, and is not kept in memory."""
    number = 0
    while line := lines.readline(_MAX_LINE_BYTES + 1):
        number += 1
        whole = len(line) <= _MAX_LINE_BYTES
        while not line.endswith(b"\n") and (rest := lines.readline(_MAX_LINE_BYTES)):
            line, whole = rest, False
        if not whole:
            yield number, None
        elif line.strip():
            yield number, line


def _judged(
    tools: Tools, partner: str, line: bytes | None, number: int
) -> tuple[dict[str, Any], Prechecked | None]:
    name = None
    try:
        wanted = _parsed(line, number)
        name = wanted["id"]
        done = _checked(tools, partner, wanted)
        return {"id": name, **account(done)}, done
    except GreenlightError as error:
        why = error
    except Exception:  # noqa: BLE001  the other lines are still to be judged
        _log.exception("a line could not be judged", line=number)
        why = GreenlightError("A part of the gate failed on this line.")
    return {"id": name, "error": {"code": why.code, "message": why.message}}, None


def _parsed(line: bytes | None, number: int) -> dict[str, Any]:
    if line is None:
        raise BadInput(f"Line {number} has more than {_MAX_LINE_BYTES} bytes.")
    try:
        wanted = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"), parse_constant=_refused)
    except (ValueError, RecursionError):
        wanted = None
    if not isinstance(wanted, dict) or not {"id", "prompt"} <= wanted.keys():
        raise BadInput(f"Line {number} is not an object with id and prompt.")
    if not isinstance(wanted["id"], str | int | float | None):
        raise BadInput(f"On line {number} id is neither a text nor a number.")
    return wanted


def _refused(constant: str) -> Any:
    raise ValueError(constant)


def _checked(tools: Tools, partner: str, wanted: dict[str, Any]) -> Prechecked:
    prompt, modality = wanted["prompt"], wanted.get("modality", "video")
    if not isinstance(prompt, str):
        raise BadInput("prompt must be a text.")
    if modality not in MODALITIES:
        raise BadInput(f"modality must be one of {', '.join(sorted(MODALITIES))}.")
    given = {name: wanted[name] for name in _TEXTS if wanted.get(name)}
    if not all(isinstance(text, str) and len(text) <= 200 for text in given.values()):
        raise BadInput("project and territory must be short texts.")
    return precheck(tools, partner, asked(prompt, modality, **given), modality)


def _noted(tools: Tools, done: list[Prechecked]) -> None:
    if not done:
        return
    with tools.store.session() as session:
        for one in done:
            note(session, tools, one, actor=ACTOR)
        session.commit()


def _line(told: dict[str, Any]) -> bytes:
    try:
        return json.dumps(told, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:
        # An id may hold half a character, which JSON can escape and UTF-8 cannot write.
        return json.dumps(told).encode() + b"\n"
