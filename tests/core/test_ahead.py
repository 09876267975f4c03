from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from core import ahead as module
from core.ahead import ahead
from core.errors import BadMedia


def test_reads_ahead_boundedly_and_in_order() -> None:
    made: list[int] = []

    def source() -> Generator[int, None, None]:
        for index in range(100):
            made.append(index)
            yield index

    items = ahead(source())
    assert [next(items) for _ in range(5)] == [0, 1, 2, 3, 4]
    items.close()
    assert len(made) <= 5 + module._DEPTH + 1


def test_gives_everything_and_ends() -> None:
    assert list(ahead(index for index in range(20))) == list(range(20))


def test_an_error_arrives_in_its_place_and_the_thread_ends() -> None:
    threads = threading.active_count()

    def source() -> Generator[int, None, None]:
        yield 1
        yield 2
        raise BadMedia("broken in the middle")

    items = ahead(source())
    assert [next(items), next(items)] == [1, 2]
    with pytest.raises(BadMedia, match="in the middle"):
        next(items)
    assert threading.active_count() == threads


def test_stopping_early_closes_the_source() -> None:
    closed = threading.Event()

    def source() -> Generator[int, None, None]:
        try:
            yield from range(100)
        finally:
            closed.set()

    items = ahead(source())
    next(items)
    items.close()
    assert closed.is_set()
