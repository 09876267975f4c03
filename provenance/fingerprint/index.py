"""Find the clips that a fingerprint may belong to, among all of them, by Hamming distance.

A probe is compared with every word: at the distances that re-encoding causes (up to a quarter of the bits) an
index by parts of a word would visit most words as well. Of a picture's 256 bits the last 64 are compared first,
and the others only where those agree: they are the coarsest, and what encoders, noise and cut-off margins change
is the fine ones. Of 791 frames so changed all but one within 72 bits in all were within 20 of the last 64, where
fewer than one in 400 strangers is.
The words lie in blocks that fit a core's cache, in planes of whole machine words, so that comparing is two
vector instructions a plane. Nothing here is on disk: the database has the prints, and blocks are filled
from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from provenance.fingerprint import chroma
from provenance.fingerprint.audio import AudioPrint
from provenance.fingerprint.video import CENTRED, MIN_QUALITY, VideoPrint

_BLOCK = 1 << 15
_VIDEO_PROBES = 6
_OFF_CENTRE_PROBES = 3
_AUDIO_PROBES = 16


@dataclass(frozen=True, slots=True)
class _Reach:
    """How many bits a word may differ in: in its last plane, and in all of them."""

    last: int
    whole: int


_VIDEO_REACH = _Reach(last=20, whole=72)
_AUDIO_REACH = _Reach(last=3, whole=3)

Probes = npt.NDArray[np.unsignedinteger[Any]]
"""(n, planes): words to look for."""
Places = npt.NDArray[np.int64]


class _Words:
    """Words of one width, in the order they were added."""

    def __init__(self, planes: int, kind: type[np.uint32 | np.uint64]) -> None:
        self._planes, self._kind = planes, kind
        self._blocks: list[npt.NDArray[Any]] = []
        self.size = 0

    def add(self, words: Probes) -> None:
        """Append words, (n, planes)."""
        while len(words):
            at = self.size % _BLOCK
            if at == 0:
                self._blocks.append(np.zeros((self._planes, _BLOCK), self._kind))
            part = words[: _BLOCK - at]
            self._blocks[-1][:, at : at + len(part)] = part.T
            # The words are there before the size says so: a search beside this one sees all or none.
            self.size += len(part)
            words = words[len(part) :]

    def near(self, probes: Probes, reach: _Reach) -> Iterator[tuple[int, Places]]:
        """Yield the places of the words in reach of a probe, with the number of the probe."""
        size = self.size
        differing, count = np.empty(_BLOCK, self._kind), np.empty(_BLOCK, np.uint8)
        for number, block in enumerate(self._blocks[: -(-size // _BLOCK)]):
            held = min(_BLOCK, size - number * _BLOCK)
            for which, probe in enumerate(probes):
                np.bitwise_xor(block[-1], probe[-1], out=differing)
                np.bitwise_count(differing, out=count)
                found = (count[:held] <= reach.last).nonzero()[0]
                if len(found):
                    yield which, _in_reach(block, found, probe, reach.whole) + number * _BLOCK


def _in_reach(block: npt.NDArray[Any], places: Places, probe: Probes, bits: int) -> Places:
    """Keep the places of a block whose words differ from a probe in so many bits at the most."""
    differing = np.bitwise_count(block[:, places] ^ probe[:, None]).sum(axis=0, dtype=np.uint16)
    return np.asarray(places[differing <= bits])


class Index:
    """The words of all prints of one kind, and which print each belongs to."""

    def __init__(self, planes: int, kind: type[np.uint32 | np.uint64]) -> None:
        self._words = _Words(planes, kind)
        self._keys: list[int] = []
        self._starts: list[int] = []

    def _add(self, key: int, words: Probes) -> None:
        self._keys.append(key)
        self._starts.append(self._words.size)
        self._words.add(words)

    def _near(self, probes: Probes, reach: _Reach) -> tuple[Places, Places]:
        """Give the numbers of probes and the places of words that are in reach of each other."""
        found = list(self._words.near(probes, reach))
        none = np.zeros(0, np.int64)
        which = np.repeat([number for number, _ in found], [len(places) for _, places in found])
        return which.astype(np.int64), np.concatenate([none, *(places for _, places in found)])

    def _owners(self, places: Places) -> Places:
        """Number the prints that these places belong to."""
        return np.asarray(np.searchsorted(np.array(self._starts, np.int64), places, "right") - 1)

    def _most_voted(self, votes: Places, limit: int) -> list[int]:
        """Name the prints with the most votes; each vote is the number of a print."""
        voted, count = np.unique(votes, return_counts=True)
        return [self._keys[owner] for owner in voted[np.argsort(-count, kind="stable")[:limit]]]


class VideoIndex(Index):
    """Finds picture tracks: at six times of the query, two neighbouring frames each, in every view.

    What has lost a margin on one side or two is looked for at three times, and not mirrored: that would cost as much again.
    """

    def __init__(self) -> None:
        super().__init__(4, np.uint64)

    def add(self, key: int, fingerprint: VideoPrint) -> None:
        """Add a stored print under a number of the caller's."""
        self._add(key, fingerprint.words[0][fingerprint.quality >= MIN_QUALITY])

    def candidates(self, query: VideoPrint, limit: int) -> list[int]:
        """Name the prints that a query may be a part of, likeliest first."""
        good = np.flatnonzero(query.quality >= MIN_QUALITY)
        if not len(good):
            return []
        spread = np.linspace(0, len(good) - 1, _VIDEO_PROBES).astype(int)
        # Of two neighbours a quarter of a second apart, one is near in time to a stored frame.
        times = good[np.unique(np.concatenate([spread, np.minimum(spread + 1, len(good) - 1)]))]
        few = np.linspace(0, len(times) - 1, _OFF_CENTRE_PROBES).astype(int)
        centred, beside = query.words[:CENTRED], query.words[CENTRED::2]
        probes = np.concatenate([centred[:, times].reshape(-1, 4), beside[:, times[few]].reshape(-1, 4)])
        when = np.concatenate([np.tile(np.arange(len(times)), len(centred)), np.tile(few, len(beside))])
        which, places = self._near(probes, _VIDEO_REACH)
        # a clip has one vote for each time of the query, however many of its frames are near
        votes = np.unique(np.stack([self._owners(places), when[which]]), axis=1)
        return self._most_voted(votes[0], limit)


class AudioIndex(Index):
    """Finds sound tracks: a vote counts for a recording at one lag."""

    def __init__(self) -> None:
        super().__init__(1, np.uint32)

    def add(self, key: int, fingerprint: AudioPrint) -> None:
        """Add a stored print under a number of the caller's."""
        # Silence stays in, so that what lies on both sides of it keeps its distance.
        self._add(key, fingerprint.words[:, None])

    def candidates(self, query: AudioPrint, limit: int) -> list[int]:
        """Name the prints that a query may be a part of, likeliest first."""
        heard = np.flatnonzero(query.words != chroma.SILENT)
        if not len(heard):
            return []
        at = np.unique(heard[np.linspace(0, len(heard) - 1, _AUDIO_PROBES).astype(int)])
        which, places = self._near(query.words[at, None], _AUDIO_REACH)
        pairs, count = np.unique(
            np.stack([self._owners(places), places - at[which]]), axis=1, return_counts=True
        )
        likeliest = pairs[0, np.argsort(-count, kind="stable")]
        return [self._keys[owner] for owner in list(dict.fromkeys(likeliest.tolist()))[:limit]]
