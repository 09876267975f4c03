"""Letters that look like Latin ones (after folding), and signs that stand for letters; our own short table."""

from __future__ import annotations

_ALIKE = {
    "a": "аαɑᴀ",
    "b": "ЬьвʙƄ",
    "c": "сϲᴄⅽ",
    "d": "ԁɗᴅ",
    "e": "еєҽεᴇɛ",
    "f": "ғſƒ",
    "g": "ɡցԍɢ",
    "h": "һհнʜ",
    "i": "іıɩιɪ",
    "j": "јϳᴊ",
    "k": "кκᴋ",
    "l": "ӏǀʟł",
    "m": "мᴍ",
    "n": "пηոɴ",
    "o": "оοσօᴏøө",
    "p": "рρᴘ",
    "q": "ԛզ",
    "r": "гᴦʀ",
    "s": "ѕꜱʂ",
    "t": "тτᴛ",
    "u": "υսᴜμ",
    "v": "νѵᴠ",
    "w": "ԝωᴡ",
    "x": "хχ×",
    "y": "уүγʏ",
    "z": "ᴢʐ",
}
_CAPITALS = {"Μ": "M", "Ν": "N", "Η": "H", "Υ": "Y", "Ι": "I"}
_SMALL = {alike: letter for letter, many in _ALIKE.items() for alike in many}
_LARGE = {alike.upper(): letter.upper() for alike, letter in _SMALL.items() if len(alike.upper()) == 1}
LOOKALIKES = str.maketrans({**_LARGE, **_CAPITALS, **_SMALL})
LEET = str.maketrans("013457@$!|+", "oieastasiit")
