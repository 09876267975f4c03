"""Where files live: a private room for everything unreleased, a public room for what was released.

This is the one seam for other stores (S3-compatible ones later); names are slash-separated keys.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Literal, Protocol

from core.errors import NotFound

Room = Literal["private", "public"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*")


class Blobs(Protocol):
    """Keep files under names, whole or not at all."""

    def put(self, room: Room, name: str, source: Path) -> str:
        """Take `source` over (it is moved) and return `name`."""
        ...

    def path(self, room: Room, name: str) -> Path:
        """Give a local path to read from, or raise `NotFound`."""
        ...

    def publish(self, name: str, as_name: str) -> str:
        """Copy a private file into the public room; doing it twice is harmless."""
        ...

    def remove(self, room: Room, name: str) -> None:
        """Delete a file, or all files below a name; what is not there is no error."""
        ...


class LocalBlobs:
    """Blobs in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _at(self, room: Room, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise NotFound(f"There is no file named {name!r}.")
        return self.folder / room / name

    def put(self, room: Room, name: str, source: Path) -> str:
        """Take `source` over (it is moved) and return `name`."""
        target = self._at(room, name)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.move(source, target)
        return name

    def path(self, room: Room, name: str) -> Path:
        """Give a local path to read from, or raise `NotFound`."""
        target = self._at(room, name)
        if not target.is_file():
            raise NotFound("The file is not there.")
        return target

    def publish(self, name: str, as_name: str) -> str:
        """Copy a private file into the public room; doing it twice is harmless."""
        source, target = self.path("private", name), self._at("public", as_name)
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = target.with_name(f".{target.name}.{os.getpid()}")
        shutil.copyfile(source, scratch)
        # A crash before this line leaves nothing public; the step runs again.
        scratch.replace(target)
        return as_name

    def remove(self, room: Room, name: str) -> None:
        """Delete a file, or all files below a name; what is not there is no error."""
        target = self._at(room, name)
        if target.is_dir():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
