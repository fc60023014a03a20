"""Delimited text files with a header, such as CSV, TSV and RecBole atomic files."""

from __future__ import annotations

import csv
import difflib
import math
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from toolkit.catalogue.readers.open_files import BLANKS, Bad, Encoding, lines
from toolkit.errors import DataError, InputError

_LONGEST = 10_000_000
"""Characters of a cell, or of a row with line breaks: whole lyrics fit, an unclosed quote over a file does not."""

_LINES = 100_000
"""Lines of a row, which are in memory until its quote is closed. The longest lyrics have a few thousand."""

_OPEN = 'has a quote (") that is never closed'

_CURE = "write a quoted cell with its quotes doubled"


class DelimitedFile:
    """Table file that is read row by row; `header` has the column names.

    - delimiter: by default a tab or semicolon if the header contains it and no comma, otherwise a comma.
    - quoted: reader option `quoted`, whether cells may be in double quotes, as RFC 4180 describes. None for a reader
      without the option means true.
    - encoding: reader option `encoding`.

    Raises `DataError` for an empty file or a repeated column name.
    """

    def __init__(
        self,
        path: Path,
        bad: Bad,
        *,
        delimiter: str | None = None,
        quoted: bool | None = None,
        encoding: Encoding | None = None,
    ) -> None:
        self.path = path
        self.bad = bad
        self.encoding = encoding
        first = next(lines(path, _no_header, encoding), "")
        self.delimiter = delimiter or _delimiter(first)
        self._dialect = csv.excel()
        self._dialect.delimiter = self.delimiter
        self._dialect.quoting = csv.QUOTE_NONE if quoted is False else csv.QUOTE_MINIMAL
        self._dialect.strict = True
        self._quoted = quoted is not False
        self._cure = _CURE if quoted is None else f"{_CURE}, or set options.quoted: false if quotes are part of values"
        try:
            self.header = next(csv.reader([first], self._dialect), [])
        except csv.Error as error:
            raise DataError(f"{path}, line 1: {self._fault(error)}") from None
        if not any(self.header):
            raise DataError(f"{path} is empty and must start with a header of column names: add a header")
        if len(set(self.header)) < len(self.header):
            raise DataError(f"{path}, line 1: column names must be unique ({', '.join(self.header)}): rename a column")

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (number of the first line, cells).

        A bad record is a row with a different length than the header, or with a stray quote. Only the line with the
        stray quote is lost: reading resumes at the next line.
        """
        csv.field_size_limit(_LONGEST)
        numbered, waiting = enumerate(lines(self.path, self.bad, self.encoding), start=1), deque[tuple[int, str]]()
        next(numbered)
        while (entry := waiting.popleft() if waiting else next(numbered, None)) is not None:
            number, line = entry
            try:
                row = self._cells(line)
            except csv.Error as error:
                if "unexpected end" not in str(error):
                    self.bad(self.where(number), self._fault(error))
                    continue
                record = self._record(entry, waiting, numbered)
                if (whole := self._whole(record)) is None:
                    self.bad(self.where(number), f"{_OPEN} or joins lines: {self._cure}")
                    waiting.extendleft(reversed(record[1:]))
                    continue
                row = whole
            if len(row) == len(self.header):
                yield number, row
            elif row:
                self.bad(self.where(number), f"has {len(row)} cells and must have {len(self.header)} as in the header")

    def _cells(self, line: str) -> list[str]:
        """Return the cells of a line. Raises `csv.Error` for a stray quote or carriage return, or an open quote."""
        text = line[:-2] if line.endswith("\r\n") else line.removesuffix("\n")
        if (self._quoted and '"' in text) or "\r" in text or len(text) > _LONGEST:
            return next(csv.reader((line,), self._dialect), [])
        return text.split(self.delimiter) if text else []

    def _record(
        self, first: tuple[int, str], waiting: deque[tuple[int, str]], numbered: Iterator[tuple[int, str]]
    ) -> list[tuple[int, str]]:
        """Return the lines up to the next that can close an open quote, which has an odd number of quotes.

        Each line is part of at most one such record, so that a file of stray quotes takes linear time.
        """
        record, size = [first], len(first[1])
        if first[1].count('"') % 2:
            while size <= _LONGEST and len(record) < _LINES:
                if (entry := waiting.popleft() if waiting else next(numbered, None)) is None:
                    break
                record.append(entry)
                size += len(entry[1])
                if entry[1].count('"') % 2:
                    break
        return record

    def _whole(self, record: list[tuple[int, str]]) -> list[str] | None:
        """Return the cells of a row with line breaks, or None if stray quotes join rows.

        The lines are rows if most of them have as many delimiters as the header, the first and the last among them, and
        the delimiters between the quotes are not those of prose. Of a row with too many or too few cells, the first and
        the last line may be different.
        """
        texts = [line for _, line in record]
        try:
            row = next(csv.reader(texts, self._dialect))
        except csv.Error:
            return None
        alike = [self._delimiters(text) == len(self.header) - 1 for text in texts]
        ends = (alike[0] and alike[-1]) or len(row) != len(self.header)
        if ends and sum(alike) > len(alike) / 2 and not self._prose("\n".join(cell for cell in row if "\n" in cell)):
            return None
        return row

    def _delimiters(self, line: str) -> int:
        """Return the number of delimiters of a line outside quoted cells. A quote that is not closed is text."""
        if '"' not in line:
            return line.count(self.delimiter)
        text = line.rstrip("\r\n").replace("\r", " ") + "\n"
        cells = next(csv.reader((text,), self._dialect, strict=False))
        # only a cell whose quote is not closed contains the line end
        return len(cells) - 1 + (cells[-1].count(self.delimiter) if "\n" in cells[-1] else 0)

    def _prose(self, text: str) -> bool:
        """Return whether delimiters in a text are punctuation: at least as many are before a space as before a value.

        Those at the end of a line do not count, because an empty cell may follow, or the next line of a poem.
        """
        mark = self.delimiter
        spaced, ends = text.count(f"{mark} "), text.count(f"{mark}\r") + text.count(f"{mark}\n") + text.endswith(mark)
        return 2 * spaced >= text.count(mark) - ends

    def _fault(self, error: csv.Error) -> str:
        """Return the message of the parser without advice to programmers."""
        if "new-line" in str(error):
            return "has a carriage return (CR) inside a cell without quotes: end lines with LF or CRLF"
        if "expected after" in str(error):
            return f"has text after a closing quote: {self._cure}"
        return f"{_OPEN}: {self._cure}" if "unexpected end" in str(error) else str(error)

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


def stripped(text: str) -> str:
    """Return a value without `BLANKS` around it, or an empty text if it has only spaces of any kind."""
    text = text.strip(BLANKS)
    return "" if text.isspace() else text


def number_or_nan(value: str | int | float | None) -> float:
    """Return the number, or NaN for None, true, false and other texts.

    Digits are ASCII, without the underscores of Python: `1_000` is not a number.
    """
    if isinstance(value, str) and not (value.isascii() and "_" not in value):
        return math.nan
    try:
        return math.nan if value is None or isinstance(value, bool) else float(value)
    except (ValueError, OverflowError):  # the latter for a JSON integer of hundreds of digits
        return math.nan


def nearest(name: str, known: list[str]) -> str:
    """Return `did you mean 'x'?` or the known columns."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"columns: {', '.join(known)}"


def _delimiter(header: str) -> str:
    return next((mark for mark in ("\t", ";") if mark in header and "," not in header), ",")
