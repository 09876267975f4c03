"""What a long suite has found, piece by piece, so that a run that was cut short goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

_ROOMS = ("audits", "core", "policies", "provenance", "safety")


class Pieces:
    """Pieces of one run by name; with a file, each is there to stay once it is made.

    `about` names what is tested: pieces of other code, data or seed are forgotten. A piece is made of what JSON
    can hold, and must come out the same whichever pieces were made before it in the same run.
    """

    def __init__(self, path: Path | None = None, about: str = "") -> None:
        self._path = path
        self._made: dict[str, Any] = {}
        if path is not None:
            self._made = _read(path, about)
            _written(path, [_line("about", about), *(_line(name, one) for name, one in self._made.items())])

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Give the piece of this name; make and keep it if it is not there yet.

        A crash between making and keeping costs that piece; a line that was cut short is made again.
        """
        if name not in self._made:
            self._made[name] = json.loads(json.dumps(make()))
            if self._path is not None:
                with self._path.open("a") as file:
                    file.write(_line(name, self._made[name]))
                    file.flush()
                    os.fsync(file.fileno())
        return self._made[name]


def code() -> str:
    """Name the code that suites test: SHA-256 over the sources of the rooms below the pipeline."""
    top = Path(__file__).parents[2]
    found = hashlib.sha256()
    for path in sorted(source for room in _ROOMS for source in (top / room).rglob("*.py")):
        content = path.read_bytes()
        found.update(f"{path.relative_to(top).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def _read(path: Path, about: str) -> dict[str, Any]:
    """Read the pieces of the same run; what cannot be read ends them."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    made: dict[str, Any] = {}
    for line in lines:
        try:
            name, piece = json.loads(line)
        except (ValueError, TypeError):
            break
        made[name] = piece
    return made if made.pop("about", None) == about else {}


def _line(name: str, piece: Any) -> str:
    return json.dumps([name, piece]) + "\n"


def _written(path: Path, lines: list[str]) -> None:
    """Write the file whole, or leave it as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_text("".join(lines))
    new.replace(path)
