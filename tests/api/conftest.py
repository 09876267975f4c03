from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.world import World, make_world
from tests.conftest import ManualClock


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> Iterator[World]:
    made = make_world(tmp_path, clock)
    with made.client:
        yield made
    made.tools.store.close()
