"""Tables that only explain other rows: labels of stages, names of forms, details of e-mail events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gateway.imports._row import Row, RowMalformedError
from gateway.imports._table import Table
from gateway.imports._tally import SkipReason

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Lookup:
    """Rows of one table by key. A row counts as used once another row asked for it."""

    def __init__(self, table: Table, key: str, facts: Callable[[Row], dict[str, str]]) -> None:
        """Read the table.

        Args:
            table: The table.
            key: Column that names a row; it may hold any text.
            facts: What to keep of a row.
        """
        self._tally = table.tally
        self._facts: dict[str, dict[str, str]] = {}
        self._asked: set[str] = set()
        for row in table.rows():
            try:
                name = row.text(key)
                if not name:
                    raise row.malformed(key, "no id", "export the row again with its id")
                kept = facts(row)
            except RowMalformedError as error:
                self._tally.refuse(error.malformed)
                continue
            if name in self._facts:
                self._tally.skip(SkipReason.DUPLICATE)
            else:
                self._facts[name] = kept

    def peek(self, name: str) -> Mapping[str, str]:
        """Return the facts under a key, empty if there are none, without counting the row as used."""
        return self._facts.get(name, _NOTHING)

    def get(self, name: str) -> Mapping[str, str]:
        """Return the facts under a key, empty if there are none."""
        facts = self._facts.get(name)
        if facts is None:
            return _NOTHING
        self._asked.add(name)
        return facts

    def settle(self, unused: Callable[[str], SkipReason] = lambda _: SkipReason.NOT_REFERRED_TO) -> None:
        """Count the fate of every row.

        Args:
            unused: Gives the reason for a key that nobody asked for.
        """
        for name in self._facts:
            if name in self._asked:
                self._tally.use()
            else:
                self._tally.skip(unused(name))
