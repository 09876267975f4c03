from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import TimedOut, Unavailable
from provenance.timestamp import Authority, Breaker, dev_authority


@dataclass
class Watch:
    now: float = 0.0
    asked: int = 0
    well: bool = False

    def ask(self, breaker: Breaker) -> None:
        with breaker.asking():
            self.asked += 1
            if not self.well:
                raise TimedOut("silence")


def test_an_authority_that_fails_three_times_is_left_alone_and_tried_again_ever_later() -> None:
    watch = Watch()
    breaker = Breaker(lambda: watch.now)
    for _ in range(3):
        with pytest.raises(TimedOut):
            watch.ask(breaker)
    for rest in (30, 60, 120, 240, 480, 600, 600):
        asked = watch.asked
        for _ in range(5):
            with pytest.raises(Unavailable, match="left alone"):
                watch.ask(breaker)
        watch.now += rest - 1
        with pytest.raises(Unavailable, match="left alone for 1 s"):
            watch.ask(breaker)
        assert watch.asked == asked, "nobody waited for it"
        watch.now += 1
        with pytest.raises(TimedOut):
            watch.ask(breaker)
        assert watch.asked == asked + 1
    watch.now += 600
    watch.well = True
    for _ in range(3):
        watch.ask(breaker)
    watch.well = False
    with pytest.raises(TimedOut):
        watch.ask(breaker)
    watch.well = True
    watch.ask(breaker)


def test_while_one_tries_others_do_not_wait() -> None:
    watch = Watch()
    breaker = Breaker(lambda: watch.now)
    for _ in range(3):
        with pytest.raises(TimedOut):
            watch.ask(breaker)
    watch.now = 31.0
    with suppress(TimedOut), breaker.asking():
        with pytest.raises(Unavailable, match="left alone"):
            watch.ask(breaker)
        raise TimedOut("silence")


def test_an_authority_that_talks_nonsense_is_left_alone_too(tmp_path: Path) -> None:
    said: list[bytes] = []

    def nonsense(request: bytes) -> bytes:
        said.append(request)
        return b""

    authority = Authority(nonsense, dev_authority(tmp_path, SystemClock()).roots_pem, 1.0)
    for _ in range(5):
        with pytest.raises(Unavailable):
            authority.stamp(b"")
    assert len(said) == 3
