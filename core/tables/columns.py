"""Kinds of columns that several tables have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, LargeBinary
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import JSON
from sqlmodel import Field

# SQLite only numbers rows by itself when the type is exactly INTEGER.
ROW_ID = BigInteger().with_variant(Integer, "sqlite")


def json_column() -> Any:
    """Make a column of JSON that is always set."""
    return Column(JSON, nullable=False)


def bytes_column(*, unique: bool = False) -> Any:
    """Make a column of bytes that is always set."""
    return Column(LargeBinary, nullable=False, unique=unique)


class transaction(FunctionElement[int]):  # noqa: N801 - it reads as the SQL function that it is
    """The number of the transaction that inserts a row."""

    inherit_cache = True


@compiles(transaction)
def _no_transaction(*_: Any, **__: Any) -> str:
    return "0"


@compiles(transaction, "postgresql")
def _this_transaction(*_: Any, **__: Any) -> str:
    return "(pg_current_xact_id()::text::bigint)"


def milliseconds_column() -> Any:
    """Make a column for a moment, in milliseconds since 1970."""
    return Field(sa_type=BigInteger)
