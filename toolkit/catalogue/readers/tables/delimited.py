"""Delimited text files with a header, such as CSV, TSV and RecBole atomic files."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from toolkit.catalogue.readers.open_files import Bad, Encoding, lines
from toolkit.errors import DataError, InputError

_LONGEST = 10_000_000
"""Characters of one cell: whole lyrics fit, an unclosed quote over a whole file does not."""


class DelimitedFile:
    """Table file that is read row by row; `header` has the column names.

    - delimiter: by default a tab or semicolon if the header contains it and no comma, otherwise a comma.
    - quoted: whether cells may be in double quotes.
    - encoding: reader option `encoding`.

    Raises `DataError` for an empty file or a repeated column name.
    """

    def __init__(
        self,
        path: Path,
        bad: Bad,
        *,
        delimiter: str | None = None,
        quoted: bool = True,
        encoding: Encoding | None = None,
    ) -> None:
        self.path = path
        self.bad = bad
        self.encoding = encoding
        first = next(lines(path, _no_header, encoding), "")
        self.delimiter = delimiter or _delimiter(first)
        self._dialect = csv.excel()
        self._dialect.delimiter = self.delimiter
        self._dialect.quoting = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
        try:
            self.header = next(csv.reader([first], self._dialect), [])
        except csv.Error as error:
            raise DataError(f"{path}, line 1: {_fault(error)}") from None
        if not any(self.header):
            raise DataError(f"{path} is empty and must start with a header of column names: add a header")
        if len(set(self.header)) < len(self.header):
            raise DataError(f"{path}, line 1: column names must be unique ({', '.join(self.header)}): rename a column")

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line number, cells). A row with a different length than the header is a bad record."""
        csv.field_size_limit(_LONGEST)
        ended = False

        def watched() -> Iterator[str]:
            nonlocal ended
            yield from lines(self.path, self.bad, self.encoding)
            ended = True

        reader = csv.reader(watched(), self._dialect)
        next(reader)
        last = reader.line_num
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                self.bad(self.where(reader.line_num), _fault(error))
                continue
            if ended:  # the row extends to the end of the file: a quote is open
                self.bad(self.where(last + 1), 'has a quote (") that is never closed')
                return
            last = reader.line_num
            if len(row) == len(self.header):
                yield reader.line_num, row
            elif row:
                self.bad(
                    self.where(reader.line_num),
                    f"has {len(row)} cells and must have {len(self.header)} like the header",
                )

    def where(self, line: int) -> str:
        """Return file and line for messages."""
        return f"{self.path}, line {line}"

    def column(self, option: str, name: str | None, default: str | None = None) -> int | None:
        """Return the index of a column or of `default`, or None if the default is missing.

        Raises `InputError` with the nearest column for an unknown name.
        """
        chosen = optional_column(self.path, self.header, option, name, default)
        return None if chosen is None else self.header.index(chosen)

    def needed(self, option: str, name: str) -> int:
        """Return the index of a required column."""
        index = self.column(option, name)
        assert index is not None  # an unknown name raises
        return index

    def mapping(self, row: list[str]) -> Mapping[str, str]:
        """Return cells by column name."""
        return dict(zip(self.header, row, strict=True))


def _no_header(where: str, why: str) -> None:
    """Raise `DataError` for an invalid header, even if bad records are skipped."""
    raise DataError(f"{where}: {why}")


def check_column(path: Path, header: Collection[str], option: str, name: str) -> None:
    """Raise `InputError` with the nearest name for an unknown column."""
    if name not in header:
        raise InputError(f"{path} has no column {name!r} (option {option}): {nearest(name, list(header))}")


def optional_column(
    path: Path, header: Collection[str], option: str, name: str | None, default: str | None = None
) -> str | None:
    """Return a column, which must exist, or `default` if it exists."""
    if name is None:
        return default if default in header else None
    check_column(path, header, option, name)
    return name


def number_or_nan(value: str | int | float | None) -> float:
    """Return the number, or NaN for None and other texts."""
    try:
        return math.nan if value is None else float(value)
    except (ValueError, OverflowError):  # the latter for a JSON integer of hundreds of digits
        return math.nan


def nearest(name: str, known: list[str]) -> str:
    """Return `did you mean 'x'?` or the known columns."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(known)}"


def _fault(error: csv.Error) -> str:
    """Return the message of the parser without advice to programmers."""
    carriage_return = "has a carriage return (CR) inside a cell without quotes: end lines with LF or CRLF"
    return carriage_return if "new-line" in str(error) else str(error)


def _delimiter(header: str) -> str:
    return next((mark for mark in ("\t", ";") if mark in header and "," not in header), ",")
