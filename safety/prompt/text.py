"""The door for text: what may be called a prompt at all."""

from __future__ import annotations

import unicodedata

from core.errors import BadPrompt

MAX_CHARACTERS = 4000
_MAX_BYTES = 4 * MAX_CHARACTERS + 1024
_ALLOWED_CONTROLS = "\n\t"


def checked_text(raw: str | bytes) -> str:
    """Return the prompt without surrounding space; raise `BadPrompt` where it is none.

    1 to 4000 characters of valid UTF-8; no control characters but newline and tab, no unpaired surrogates.
    Text that is far too long is turned away before anything else looks at it.
    """
    if len(raw) > _MAX_BYTES:
        raise BadPrompt(f"The prompt is too long: at most {MAX_CHARACTERS} characters.")
    text = _decoded(raw).replace("\r\n", "\n").strip()
    if not text:
        raise BadPrompt("The prompt is empty.")
    if len(text) > MAX_CHARACTERS:
        raise BadPrompt(f"The prompt has {len(text)} characters: at most {MAX_CHARACTERS}.")
    for place, character in enumerate(text):
        kind = unicodedata.category(character)
        if kind == "Cs":
            raise BadPrompt(f"The prompt has an unpaired surrogate at character {place}.")
        if kind == "Cc" and character not in _ALLOWED_CONTROLS:
            raise BadPrompt(
                f"The prompt has the control character U+{ord(character):04X} at character {place}."
            )
    return text


def _decoded(raw: str | bytes) -> str:
    if isinstance(raw, str):
        return raw
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadPrompt(f"The prompt is not UTF-8 (byte {error.start}).") from error
