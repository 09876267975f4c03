"""Text hidden in base64, hexadecimal or percent encoding, found and decoded in place."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

_ENCODED = re.compile(
    r"(?P<url>(?:%[0-9a-fA-F]{2}[\w.\-+]{0,64}){2,})"
    r"|(?P<hex>(?<![0-9a-fA-F])(?:0x|\\x)?[0-9a-fA-F]{2}(?:[\s:]?(?:\\x)?[0-9a-fA-F]{2}){5,}(?![0-9a-fA-F]))"
    r"|(?P<base64>(?<![\w+/])[A-Za-z0-9+/_\-]{12,}={0,2})"
)
_MOSTLY = 0.9


def decoded(text: str) -> Iterator[tuple[str, int, int]]:
    """Yield (hidden text, start, end) for every encoded part that hides readable text."""
    for match in _ENCODED.finditer(text):
        hidden = _readable(_bytes(str(match.lastgroup), match[0]))
        if hidden:
            yield hidden, match.start(), match.end()


def _bytes(kind: str, token: str) -> bytes:
    if kind == "url":
        return unquote_to_bytes(token.replace("+", " "))
    if kind == "hex":
        return bytes.fromhex(re.sub(r"0x|\\x|[\s:]", "", token))
    unpadded = token.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4))
    except binascii.Error:
        return b""


def _readable(content: bytes) -> str:
    """Return the content as text if it is text that somebody could have written, else nothing."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    legible = sum(character.isalnum() or character in " .,;:!?'\"%+/=-_\n" for character in text)
    return text if len(text) >= 4 and legible >= _MOSTLY * len(text) else ""
