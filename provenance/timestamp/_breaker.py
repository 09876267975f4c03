"""Leave an authority alone that fails again and again: every release would wait for all of its silence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from core.errors import GreenlightError, Unavailable

FAILURES = 3
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 30.0, 600.0


@dataclass(slots=True)
class Breaker:
    """Counts failures in a row; `now` gives seconds of a clock that never goes back.

    After three of them nobody is asked for 30 s, then one asks: if that fails too, the rest is twice as long,
    up to ten minutes. Every process learns for itself; threads share what it has learnt.
    """

    now: Callable[[], float] = field(repr=False)
    failures: int = 0
    rests_until: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask within; raises `Unavailable` at once while the authority is left alone."""
        self._admit()
        try:
            yield
        except GreenlightError:
            self._failed()
            raise
        with self._lock:
            self.failures, self.rests_until = 0, 0.0

    def _admit(self) -> None:
        with self._lock:
            left = self.rests_until - self.now()
            if left > 0:
                raise Unavailable(
                    f"The time-stamp authority failed {self.failures} times; it is left alone for {left:.0f} s."
                )
            if self.failures >= FAILURES:  # one tries; whoever comes meanwhile does not wait for it
                self.rests_until = self.now() + FIRST_REST_SECONDS

    def _failed(self) -> None:
        with self._lock:
            self.failures += 1
            if self.failures >= FAILURES:
                rest = FIRST_REST_SECONDS * 2 ** min(self.failures - FAILURES, 10)
                self.rests_until = self.now() + min(rest, LONGEST_REST_SECONDS)
