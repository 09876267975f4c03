"""Two people, one active pack and one strike a request, where writers run side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core.store import open_store
from pipeline.tools import Tools
from tests.conftest import ManualClock, listening
from tests.doubles import add_partner, make_tools
from tests.pipeline.test_packs import (
    test_the_database_itself_refuses_one_person_and_a_second_active_pack as test_the_database_refuses,
)
from tests.pipeline.test_packs import (
    test_two_admins_at_once_activate_one_pack as test_two_admins_activate_one_pack,
)
from tests.pipeline.test_strikes import (
    test_a_request_strikes_once_however_often_and_from_wherever as test_a_request_strikes_once,
)
from tests.pipeline.test_strikes import (
    test_users_who_are_struck_side_by_side_lose_no_strike as test_no_strike_is_lost,
)

__all__ = [
    "test_a_request_strikes_once",
    "test_no_strike_is_lost",
    "test_the_database_refuses",
    "test_two_admins_activate_one_pack",
]
SCHEMA = "greenlight_policies"
SERVER = "postgresql://root@127.0.0.1/test"
URL = f"postgresql+psycopg://root@127.0.0.1/test?options=-csearch_path%3D{SCHEMA}"
pytestmark = pytest.mark.services


@pytest.fixture
def tools(tmp_path: Path, clock: ManualClock) -> Iterator[Tools]:
    if not listening(5432):
        pytest.skip("needs PostgreSQL on port 5432")
    with psycopg.connect(SERVER, autocommit=True) as server:
        server.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        server.execute(f"CREATE SCHEMA {SCHEMA}")
    made = make_tools(tmp_path, clock, store=open_store(URL))
    for partner in ("acme", "other"):
        add_partner(made.store, partner)
    yield made
    made.store.close()
