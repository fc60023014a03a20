"""JSON objects in the lines of a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from toolkit.catalogue.readers.json_keys import repeated_key, twice
from toolkit.catalogue.readers.open_files import BROKEN_JSON, Bad, json_lines

Line = dict[str, object]
_OBJECT = msgspec.json.Decoder(Line)


def json_objects(path: Path, bad: Bad) -> Iterator[tuple[str, Line]]:
    """Yield (file and line, object). Lines that are not objects are reported to `bad`."""
    for number, line in json_lines(path, bad):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            value = _OBJECT.decode(line)
            repeated = _repeated_key(line, value)
        except BROKEN_JSON as error:
            bad(where, f"is not a JSON object: {error}")
            continue
        if repeated is not None:
            bad(where, twice(repeated))
            continue
        yield where, value


def _repeated_key(line: bytes, value: Line) -> str | None:
    """Return a key that occurs twice in an object. The decoder keeps only the second value.

    Nearly every line has one `":` for each key that was decoded, so the slow search is rare.
    """
    return None if line.count(b'":') == _keys(value) else repeated_key(line)


def _keys(value: Line | list[object]) -> int:
    """Return the number of keys in an object, and in those that it contains."""
    if isinstance(value, list):
        return sum(_keys(inner) for inner in value if isinstance(inner, dict | list))
    return len(value) + sum(_keys(inner) for inner in value.values() if isinstance(inner, dict | list))
