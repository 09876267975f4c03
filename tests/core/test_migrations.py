from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

FOLDER = str(Path(__file__).resolve().parents[2] / "core" / "migrations")


@pytest.fixture
def old(tmp_path: Path) -> Iterator[sa.Connection]:
    """A database as the walking skeleton left it."""
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'old.db'}")
    with engine.begin() as connection:
        migrate(connection, "0006")
        yield connection
    engine.dispose()


def migrate(connection: sa.Connection, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", FOLDER)
    config.attributes["connection"] = connection
    command.upgrade(config, to)


def test_keys_of_people_stay_and_private_parts_in_plain_text_go(old: sa.Connection) -> None:
    old.execute(sa.text("INSERT INTO identity VALUES ('person_1', 'Iris', '[]', '', 0, 0)"))
    old.execute(sa.text("INSERT INTO subjectkey VALUES ('person_1', x'0102')"))
    old.execute(
        sa.text(
            "INSERT INTO auditevent (at_ms, tag, actor, leaf, detail) VALUES (1, 'x', 'y', x'7b7d', 'amaranth')"
        )
    )
    migrate(old, "head")
    assert old.execute(sa.text("SELECT * FROM subjectkey")).all() == [("person_1", "person", b"\1\2", 0)]
    row = old.execute(sa.text("SELECT * FROM auditevent")).mappings().one()
    assert "amaranth" not in str(row)
    assert (row["leaf"], row["subject"], row["sealed"]) == (b"{}", None, None)
    made = old.execute(sa.text("SELECT sql FROM sqlite_master WHERE name = 'auditevent'")).scalar_one()
    assert "AUTOINCREMENT" in made
