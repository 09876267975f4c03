"""Read untrusted still pictures: PNG and JPEG, their size checked before they are decoded."""

from __future__ import annotations

import io
import os
import struct
from pathlib import Path

import numpy as np
from PIL import Image

from core.errors import BadMedia
from core.media.clip import Luma

_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_BROKEN = (
    OSError,
    ValueError,
    SyntaxError,
    struct.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class _Bounded(io.BufferedReader):
    """A file of which never more is asked for than it has: reading makes room first, for whatever a length says."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._bytes = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes or what is left of them; all that is left without a size."""
        return super().read(-1 if size is None else min(size, self._bytes))


def is_still(path: Path) -> bool:
    """Tell by its first bytes whether a file is a PNG or JPEG picture."""
    with path.open("rb") as file:
        return file.read(8).startswith(_MAGIC)


def size_of(path: Path) -> tuple[int, int]:
    """Read width and height in pixels of a PNG, JPEG or WebP picture without decoding it; raises `BadMedia`."""
    try:
        with _Bounded(path) as file, Image.open(file, formats=("PNG", "JPEG", "WEBP")) as picture:
            return picture.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadMedia("The picture has far too many pixels.") from error
    except _BROKEN as error:
        raise BadMedia("The picture cannot be read.") from error


def still(path: Path, *, max_pixels: int) -> Luma:
    """Decode the brightness of a picture, (h, w) uint8; raises `BadMedia` when it is broken or too large.

    One library reads the size and decodes: two of them may take different sizes from a file with two headers.
    """
    try:
        with (
            _Bounded(path) as file,
            Image.open(file, formats=("PNG", "JPEG")) as picture,
        ):  # decodes nothing yet
            width, height = picture.size
            if width * height > max_pixels:
                raise BadMedia(f"The picture has {width}x{height} pixels; at most {max_pixels} are accepted.")
            picture.info.pop("transparency", None)  # what lies behind is of no interest
            return np.asarray(picture.convert("L"), np.uint8)
    except _BROKEN as error:
        raise BadMedia("The picture cannot be read.") from error
