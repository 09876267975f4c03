"""Work on a stream of items beside whoever uses them."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

_Item = TypeVar("_Item")
_DEPTH = 4


def ahead(source: Generator[_Item, None, None]) -> Generator[_Item, None, None]:
    """Run a generator in a thread of its own, four items ahead of whoever reads them, in their order.

    An error of the source arrives in the place of its item. Close what this gives when you stop early: that waits
    for the items under way and closes the source. The source gives no None.
    """
    # the thread ends first: a generator cannot be closed while it runs
    with closing(source), ThreadPoolExecutor(1) as thread:
        # one worker, so the items keep their order; an error arrives in the place of its item
        waiting = deque(thread.submit(next, source, None) for _ in range(_DEPTH))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, source, None))
            yield item
