"""What OpenAPI says of the Soft Binding Resolution API is true: schemathesis asks, with good and bad queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from core.state import State
from tests.api.test_bindings import put
from tests.api.world import World

PATHS = r"^/(v1/(matches|manifests|services)/|\.well-known/)"
EXAMPLES = 12
UNSAYABLE = [positive_data_acceptance]
"""No schema says which bytes are media, or that a value must fit its algorithm."""

for mime in ("video/*", "audio/*", "image/*", "application/mp4"):

    @schemathesis.serializer(mime)
    def _as_it_is(_ctx: Any, value: Any) -> bytes:
        return value if isinstance(value, bytes) else str(value).encode()


@pytest.fixture
def described(world: World) -> Any:
    put(world, 1)
    put(world, 2, State.WITHDRAWN)
    return schemathesis.openapi.from_asgi("/openapi.json", world.client.app).include(path_regex=PATHS)


def strategies(described: Any) -> Iterator[tuple[str, Any]]:
    for found in described.get_all_operations():
        operation = found.ok()
        for mode in GenerationMode:
            yield operation.label, operation.as_strategy(generation_mode=mode)


def test_every_answer_is_as_described(described: Any) -> None:
    asked: dict[str, int] = {}
    for label, cases in strategies(described):
        asked[label] = asked.get(label, 0) + _asked(cases)
    assert len(asked) == 9
    assert min(asked.values()) >= 1


def _asked(cases: Any) -> int:
    """Ask with some of these cases and validate every answer; says how many there were."""
    count = 0

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases)
    def ask(case: Any) -> None:
        nonlocal count
        count += 1
        case.call_and_validate(excluded_checks=UNSAYABLE)

    with suppress(Unsatisfiable):  # nothing can be wrong in a query without parameters
        ask()
    return count
