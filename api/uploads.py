"""Bring an upload to a scratch file without ever holding it in memory, and forget it afterwards."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from fastapi import Request, UploadFile

from core.errors import BadMedia, TooMany
from pipeline.tools import Tools

_CHUNK = 1 << 20


@asynccontextmanager
async def stored(file: UploadFile, tools: Tools) -> AsyncIterator[Path]:
    """Write an upload to a scratch file, limit kept, name not used; nothing is left afterwards."""

    async def chunks() -> AsyncIterator[bytes]:
        while chunk := await file.read(_CHUNK):
            yield chunk

    async with _kept(chunks(), tools) as path:
        yield path


@asynccontextmanager
async def stored_body(request: Request, tools: Tools) -> AsyncIterator[Path]:
    """Write the bare body of a request to a scratch file, limit kept; nothing is left afterwards."""
    async with _kept(request.stream(), tools) as path:
        yield path


@contextmanager
def scratch_path(tools: Tools) -> Iterator[Path]:
    """Give a place for one file of a stranger; nothing is left of it afterwards."""
    home = tools.settings.data_dir / "scratch"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        yield Path(folder) / "upload"


@asynccontextmanager
async def _kept(chunks: AsyncIterator[bytes], tools: Tools) -> AsyncIterator[Path]:
    limit = tools.settings.max_upload_mib * _CHUNK
    with scratch_path(tools) as path:
        size = 0
        with path.open("wb") as target:
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise BadMedia(f"The file is larger than {tools.settings.max_upload_mib} MiB.")
                target.write(chunk)
        if size == 0:
            raise BadMedia("The file is empty.")
        yield path


class Decoders:
    """A few children that decode untrusted files at a time; whoever finds none free is asked to come back."""

    def __init__(self, at_once: int) -> None:
        self._free = threading.BoundedSemaphore(at_once)

    @contextmanager
    def one(self, *, wait_seconds: float) -> Iterator[None]:
        """Take a place for as long as the block lasts; raises `TooMany` when none gets free in time."""
        if not self._free.acquire(timeout=wait_seconds):
            raise TooMany("Many files are being read at the moment; try again in a few seconds.")
        try:
            yield
        finally:
            self._free.release()
