"""Perceptual fingerprints: find a clip again after its mark and its manifest are gone.

A fingerprint says that two clips look or sound alike, never that one is authentic: it is a way to a record,
and the record is then judged by the other layers. Builders are fed frame by frame and block by block, so that
one decoding serves them and the marks; `encode` and `decode` turn what they built into bytes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A span in seconds of the query in which it agrees with the reference."""

    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How far a query agrees with a reference: `score` 0..1, over the shorter of the two.

    `offset` is what to add to a time of the query to get the time of the reference, in seconds; `found` says
    whether the score lies above what different clips reach, `mirrored` whether left and right are exchanged.
    """

    score: float
    offset: float
    spans: tuple[Span, ...]
    found: bool
    mirrored: bool = False
