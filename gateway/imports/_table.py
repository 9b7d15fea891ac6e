"""Tables on disk: finding them, and reading their rows one by one whatever their bytes are."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from gateway.imports._catalog import CATALOG, SUFFIXES, TableSpec
from gateway.imports._row import Row, RowMalformedError
from gateway.imports._tally import Malformed, RowSkippedError, Tally

_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class UnusableExportError(Exception):
    """The directory as a whole cannot be imported; nothing was sent."""

    code = "HUBSPOT_EXPORT_UNUSABLE"


class _Lines:
    """Physical lines of a file, with the ones of the current record remembered for another try."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._again: deque[bytes] = deque()
        self._record: list[bytes] = []
        self.number = 0
        """Line that was handed out last, from 1."""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._handle.readline()
        if not line:
            raise StopIteration
        self.number += 1
        if self.number == 1:
            line = line.removeprefix(_BOM)
        self._record.append(line)
        return line.decode("utf-8", "surrogateescape")

    def begin(self) -> None:
        """Forget the lines handed out so far: a record begins."""
        self._record.clear()

    def give_back_all_but_first(self) -> None:
        """Hand out the current record's lines again, except its first one.

        A stray quote makes a reader swallow good rows; after its line is refused they get their own chance.
        """
        self._again.extendleft(reversed(self._record[1:]))
        self.number -= len(self._record) - 1

    @property
    def suspicious(self) -> bool:
        """Whether the current record holds bytes that no text has: NUL, or no UTF-8."""
        return any(b"\0" in line or not line.isascii() for line in self._record)


class Table:
    """One table of the export: its rows, and the tally of what became of them."""

    def __init__(self, spec: TableSpec, path: Path | None) -> None:
        self.name = spec.name
        self.spec = spec
        self.path = path
        self.tally = Tally(spec.name, path.name if path else None)
        self._header: list[str] = []
        self._columns: Mapping[str, int] = {}

    def problem(self) -> str | None:
        """Read the header; return in one line why the table cannot be read, or None if it can.

        Raises:
            OSError: The file cannot be opened.
        """
        if self.path is None:
            return None
        with self.path.open("rb") as handle:
            if handle.peek(2)[:2] in _UTF_16:
                return f"{self.path.name}:1: the file is UTF-16; export or save it as UTF-8"
            try:
                header = next(csv.reader(_Lines(handle), strict=True), [])
            except csv.Error as error:
                return f"{self.path.name}:1: the header cannot be read ({error}); export the table again"
        names = [name.strip().lower() for name in header]
        if not any(names):
            if self.spec.required:
                return f"{self.path.name}:1: no header; export the table again with its column names"
            return None
        twice = sorted({name for name in names if name and names.count(name) > 1})
        if twice:
            return f"{self.path.name}:1: column {', '.join(twice)} appears twice; keep one of them"
        missing = [name for name in self.spec.required if name not in names]
        if missing:
            return f"{self.path.name}:1: column {', '.join(missing)} is missing; add it to the export"
        self._header = names
        self._columns = {name: index for index, name in enumerate(names) if name}
        return None

    def settle(self, handle: Callable[[Row], None]) -> None:
        """Hand every readable row to `handle` and count its fate.

        Args:
            handle: Returns if the row was used; raises `RowSkippedError` or `RowMalformedError` if not.
        """
        for row in self.rows():
            self.settle_row(row, handle)

    def settle_row(self, row: Row, handle: Callable[[Row], None]) -> None:
        """Hand one row to `handle` and count its fate."""
        try:
            handle(row)
        except RowSkippedError as skipped:
            self.tally.skip(skipped.reason)
        except RowMalformedError as error:
            self.tally.refuse(error.malformed)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            field = ".".join(str(part) for part in first["loc"]) or "row"
            refused = row.malformed(field, f"refused: {first['msg']}", "correct the value in the export")
            self.tally.refuse(refused.malformed)
        else:
            self.tally.use()

    def peek(self) -> Iterator[Row]:
        """Yield the readable rows without counting anything, for a look ahead."""
        ahead = Table(self.spec, self.path)
        ahead._header, ahead._columns = self._header, self._columns
        yield from ahead.rows()

    def rows(self) -> Iterator[Row]:
        """Yield the readable rows; the others are counted as malformed.

        Raises:
            UnusableExportError: The file cannot be read to its end.
        """
        if self.path is None:
            return
        try:
            with self.path.open("rb") as handle:
                yield from self._rows(handle, self.path.name)
        except OSError as error:
            raise UnusableExportError(
                f"{self.path.name}: cannot be read ({error.strerror}); check the file and its permissions"
            ) from error

    def _rows(self, handle: BinaryIO, file: str) -> Iterator[Row]:
        lines = _Lines(handle)
        reader = csv.reader(lines, strict=True)
        next(reader, None)
        names = [name or f"column {index}" for index, name in enumerate(self._header, start=1)]
        width = len(names)
        while True:
            lines.begin()
            start = lines.number + 1
            try:
                values = next(reader, None)
            except csv.Error as error:
                lines.give_back_all_but_first()
                self.tally.refuse(_unreadable(file, start, str(error)))
                continue
            if values is None:
                return
            if not values:
                continue
            row = Row(file, start, self._columns, values)
            refused = None
            if len(values) != width:
                column = names[min(len(values), width - 1)] if names else "row"
                refused = row.malformed(
                    column,
                    f"{len(values)} cells where the header has {width}",
                    "put cells that hold a comma or a line break in quotes",
                ).malformed
            elif lines.suspicious:
                refused = _unreadable_cell(row, names, values)
            if refused is None:
                yield row
            else:
                self.tally.refuse(refused)


def _unreadable(file: str, line: int, error: str) -> Malformed:
    if "field limit" in error:
        what = f"a cell is longer than {csv.field_size_limit():,} characters"
        remedy = "shorten it, or close the quote that opens it"
    elif "end of data" in error:
        what, remedy = "a quote opens here and never closes", "close the quote"
    elif "new-line character" in error:
        what, remedy = "a bare carriage return inside a cell", "put the cell in quotes"
    else:
        what, remedy = "text after a closing quote", "write a quote inside a quoted cell twice"
    return Malformed(file=file, line=line, column="row", what=what, remedy=remedy)


def _unreadable_cell(row: Row, names: list[str], values: list[str]) -> Malformed | None:
    for name, value in zip(names, values, strict=True):
        if "\0" in value:
            return row.malformed(name, "a NUL byte", "remove it from the cell").malformed
        try:
            value.encode()
        except UnicodeEncodeError:
            return row.malformed(name, "bytes that are not UTF-8", "save the file as UTF-8").malformed
    return None


def open_export(directory: Path) -> tuple[dict[str, Table], tuple[str, ...]]:
    """Find the tables of an export and read their headers.

    Args:
        directory: Folder with one CSV file per table, named `<table>.csv` or `<table>_data.csv`.

    Returns:
        All tables of the catalog by name, whether present or not, and the names of CSV files that are none.

    Raises:
        UnusableExportError: No such folder, no company table, or headers that cannot be used (all are named).
    """
    if not directory.is_dir():
        raise UnusableExportError(f"{directory}: no such folder; name the folder with the exported CSV files")
    try:
        files = {path.name: path for path in sorted(directory.iterdir()) if path.suffix.lower() == ".csv"}
        tables: dict[str, Table] = {}
        problems: list[str] = []
        for spec in CATALOG:
            found = [files.pop(spec.name + suffix) for suffix in SUFFIXES if spec.name + suffix in files]
            if len(found) > 1:
                problems.append(f"{found[0].name} and {found[1].name} are the same table; keep one of them")
            table = Table(spec, found[0] if found else None)
            tables[spec.name] = table
            if (problem := table.problem()) is not None:
                problems.append(problem)
    except OSError as error:
        raise UnusableExportError(
            f"{error.filename or directory}: cannot be read ({error.strerror});"
            " check the path and its permissions"
        ) from error
    if tables["company"].path is None:
        problems.insert(
            0,
            f"{directory}: no company.csv or company_data.csv; all rows belong to companies, export it too",
        )
    if problems:
        raise UnusableExportError("\n".join(problems))
    return tables, tuple(files)
