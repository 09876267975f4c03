"""Judge many prompts: JSON lines in, JSON lines out, in order."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.errors import BadInput
from pipeline.tools import Tools

_MODALITIES = {"video", "audio", "soundtrack"}


def judge_lines(tools: Tools, source: Path, target: Path) -> None:
    """Judge every line of `source`; a line that cannot be judged answers with its error. `target` appears whole."""
    from api.cli.local import existing

    scratch = target.with_name(f".{target.name}.part")
    with (
        existing(source).open(encoding="utf-8", errors="replace") as lines,
        scratch.open("w", encoding="utf-8") as answers,
    ):
        for number, line in enumerate(lines, 1):
            if line.strip():
                answers.write(json.dumps(_judged(tools, line, number), ensure_ascii=False) + "\n")
    scratch.replace(target)


def _judged(tools: Tools, line: str, number: int) -> dict[str, Any]:
    from api.cli.make import judge

    try:
        asked = json.loads(line)
        name, prompt, modality = asked["id"], asked["prompt"], asked.get("modality", "video")
    except (ValueError, KeyError, TypeError, AttributeError):
        return _error(None, "bad_input", f"Line {number} is not an object with id and prompt.")
    if modality not in _MODALITIES:
        return _error(name, "bad_input", f"modality must be one of {', '.join(sorted(_MODALITIES))}.")
    try:
        return {"id": name, **judge(tools, prompt, modality)}
    except BadInput as error:
        return _error(name, error.code, error.message)


def _error(name: Any, code: str, message: str) -> dict[str, Any]:
    return {"id": name, "error": {"code": code, "message": message}}
