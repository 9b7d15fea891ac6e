"""Column types that mean the same on every database."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from pydantic import BaseModel
from sqlalchemy import DateTime
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator


class UtcDateTime(TypeDecorator[datetime]):
    """A moment: aware on the way in, aware UTC on the way out.

    SQLite stores no time zone and hands back naive values, so what it stores is UTC by our own rule.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError(f"a moment in the ledger needs a time zone; found {value.isoformat()}")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def stored_moment(stored: object) -> datetime | None:
    """Read a moment past `UtcDateTime`, as the database holds it; None if it is none."""
    try:
        moment = stored if isinstance(stored, datetime) else datetime.fromisoformat(str(stored))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def to_json(value: object) -> str:
    """Write the content of a JSON column: a model as pydantic dumps it, plain data with sorted keys."""
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def as_text(text: str) -> str:
    """Read a JSON column as its text: the models parse it themselves, faster and with checks."""
    return text
