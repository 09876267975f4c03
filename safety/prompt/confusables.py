"""Letters that look like Latin ones (UTS #39, after folding), and signs that stand for letters."""

from __future__ import annotations

from pathlib import Path


def _table() -> dict[int, str]:
    lines = Path(__file__).with_name("confusables.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" ", 1) for line in lines if not line.startswith("#")]
    doubles = {ord(double): letter for letter, many in pairs for double in many}
    capitals = {
        ord(chr(double).upper()): letter.upper()
        for double, letter in doubles.items()
        if len(chr(double).upper()) == 1 and chr(double).upper() != chr(double)
    }
    return capitals | doubles


LOOKALIKES = _table()
LEET = str.maketrans("013457@$!|+", "oieastasiit")
