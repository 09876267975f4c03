"""The audio mark: 64 bits in the levels of the tiles of a sound, blind and keyed.

After tile-energy designs such as Tai and Mansour, "Audio Watermarking over the Air with Modulated
Self-Correlation" (2019), with informed embedding after Miller, Doerr and Cox, "Applying informed coding and
embedding to design a robust, high capacity watermark" (2004). All channels get the same gains, so every linear
mix of them carries the mark.
"""

from __future__ import annotations

from provenance.marks.audio.long import detect_long, embed_long
from provenance.marks.audio.wave import MIN_SECONDS
from provenance.marks.audio.whole import WORST_CHANCE, detect, embed, wrong_keys

__all__ = ["MIN_SECONDS", "WORST_CHANCE", "detect", "detect_long", "embed", "embed_long", "wrong_keys"]
