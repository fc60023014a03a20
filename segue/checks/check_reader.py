"""The reader contract as a test suite, for authors of plug-ins; the built-in readers pass it too.

    from segue.plugin import check_reader

    def test_contract(tmp_path):
        (tmp_path / "lists.mine").write_text("a few playlists")
        check_reader(lambda on_error: MyReader(tmp_path / "lists.mine", on_error=on_error))

Plain asserts. Each message names the broken promise of `toolkit.catalogue.readers.reader` and the usual cause.
"""

from __future__ import annotations

import math
import re
import tempfile
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from pydantic import ValidationError

from toolkit.catalogue.readers.reader import OnError, Reader, ReaderParams
from toolkit.catalogue.readers.tables.record_blocks import records
from toolkit.catalogue.records import Field, NamedPlaylist, PlaylistRecord, Record, TrackRecord
from toolkit.errors import DataError, InputError
from toolkit.packages import check_requires

Make = Callable[[OnError], Reader]
SCHEME = re.compile(r"[A-Za-z][\w+.-]+:.", re.DOTALL)
SPLITS = (None, "train", "valid", "test")
ENTITIES = ("track", "album", "artist")
GROWTH = 2.0
"""Most growth of memory with four times the playlists."""
FLOOR = 2**23
"""Bytes of memory below which growth is ignored: a batch or two."""

Names = tuple[str | None, str | None, str | None]


def check_reader(
    make: Make, *, bad: Make | None = None, sized: Callable[[int], Reader] | None = None, recognised: bool = True
) -> None:
    """Test a reader against the contract. Raises `AssertionError` at the first broken promise.

    - make: returns a new reader over a few correct playlists: `make("stop")` or `make("skip")`.
    - bad: the same over data with at least one bad record.
    - sized: returns a reader over n playlists of about 20 tracks, to test whether memory grows.
    - recognised: whether `recognises` knows the path; False for a reader without a path.
    """
    reader = make("stop")
    check_declaration(type(reader))
    check_params(type(reader))
    read = check_records(reader)
    check_again(make, reader, read)
    check_brief(reader, read)
    check_blocks(reader, read)
    check_recognises(reader, recognised)
    check_missing(reader)
    check_before(reader, read)
    if bad is not None:
        check_bad(bad)
    if sized is not None:
        check_memory(sized)


def check_declaration(cls: type[Reader]) -> None:
    """Name, options and properties of the class are declared."""
    assert isinstance(getattr(cls, "name", None), str) and cls.name, f"{cls.__name__}.name must be the name in recipes"
    assert issubclass(cls.Params, ReaderParams), f"{cls.name}: Params must extend segue.plugin.ReaderParams"
    assert isinstance(cls.needs_path, bool), f"{cls.name}: needs_path={cls.needs_path!r} must be True or False"
    check_requires(cls)
    assert isinstance(cls.upper_bound, str), (
        f"{cls.name}: upper_bound={cls.upper_bound!r} must be a ranker's name, or empty"
    )


def check_params(cls: type[Reader]) -> None:
    """A misspelt option is an error, not a silent default."""
    try:
        cls.Params.model_validate({"no_such_option": 1})
    except ValidationError:
        return
    raise AssertionError(f"{cls.name}: Params takes an unknown key; keep extra='forbid' of ReaderParams")


def check_records(reader: Reader) -> list[Record]:
    """`read` streams tracks and playlists, each of the right types; the records."""
    stream = reader.read()
    assert iter(stream) is stream, (
        f"{reader.name}: read gave a {type(stream).__name__}; yield records, so that they are never all in memory"
    )
    read: list[Record] = []
    for record in stream:
        assert isinstance(record, TrackRecord | PlaylistRecord), (
            f"{reader.name}: read gave {_shown(record)}, not a track or a playlist"
        )
        fault = _track_fault(record) if isinstance(record, TrackRecord) else _playlist_fault(record, reader.counts)
        assert fault is None, f"{reader.name}: {_shown(record)}: {fault}"
        for track in (record.id,) if isinstance(record, TrackRecord) else record.tracks:
            assert SCHEME.match(track), (
                f"{reader.name}: the id {track!r} has no scheme such as `local:`; `segue.plugin.qualified` adds one"
            )
        read.append(record)
    ids = [record.id for record in read if isinstance(record, PlaylistRecord)]
    assert ids, f"{reader.name}: read gave no playlist; raise DataError for data without one (`segue.plugin.some` does)"
    repeated = next((name for place, name in enumerate(ids) if name in ids[:place]), None)
    assert repeated is None, (
        f"{reader.name}: two playlists have the id {repeated!r}; put their rows together, or report the second"
    )
    return read


def check_again(make: Make, reader: Reader, read: list[Record]) -> None:
    """A second reading, a second reader, and two readings at once give the same records."""
    assert list(reader.read()) == read, (
        f"{reader.name}: a second read differs from the first; keep no state of a reading on the reader"
    )
    assert list(make("stop").read()) == read, (
        f"{reader.name}: two readers of one path differ; is something drawn or hashed at random?"
    )
    first, second = reader.read(), reader.read()
    pairs = list(zip_longest(first, second))
    same = [left for left, _ in pairs] == read and [right for _, right in pairs] == read
    assert same, f"{reader.name}: two readings at once disturb each other; keep no state of a reading on the reader"
    begun = reader.read()
    next(begun)
    if isinstance(begun, Iterator) and hasattr(begun, "close"):
        begun.close()
    assert list(reader.read()) == read, f"{reader.name}: a reading that was broken off changes the next one"
    skipping = make("skip")
    assert list(skipping.read()) == read, f"{reader.name}: on_error: skip changes what is read of data without a fault"
    assert not skipping.skipped.count, (
        f"{reader.name}: data without a fault has {skipping.skipped.count} skipped records"
    )


def check_brief(reader: Reader, read: list[Record]) -> None:
    """`brief` gives the same playlists, and the same names of tracks."""
    brief = list(reader.brief())
    lists = [record.playlist if isinstance(record, NamedPlaylist) else record for record in brief]
    assert _playlists(lists) == _playlists(read), f"{reader.name}: brief gives other playlists than read"
    assert _names(brief) == _names(read), (
        f"{reader.name}: brief gives other names of tracks than read: {_differ(_names(brief), _names(read))}"
    )


def check_blocks(reader: Reader, read: list[Record]) -> None:
    """`blocks`, if the reader has them, hold the records of `read`: playlists, names, and the order of tracks."""
    blocks = reader.blocks()
    if blocks is None:
        return
    assert not reader.counts, (
        f"{reader.name}: blocks hold no plays, and playlists of a reader that counts have them: return None"
    )
    found = list(records(blocks))
    for left, right in zip_longest(_playlists(found), _playlists(read)):
        assert left == right, f"{reader.name}: blocks give {_shown(left)}, read gives {_shown(right)}"
    assert _names(found) == _names(read), (
        f"{reader.name}: blocks give other names than read: {_differ(_names(found), _names(read))}"
    )
    mentioned = (
        f"{reader.name}: tracks come in another order in blocks than in read, which would number them differently"
    )
    assert list(_names(found)) == list(_names(read)), mentioned


def check_recognises(reader: Reader, recognised: bool) -> None:
    """`recognises` knows the reader's own path, and returns False for others without raising."""
    cls = type(reader)
    if cls.needs_path:
        found = cls.recognises(reader.path)
        assert found is recognised, f"{cls.name}: recognises returns {found!r} for {reader.path.name}"
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "notes.txt"
        other.write_text("milk, eggs\n")
        (Path(folder) / "none").mkdir()
        for path in (other, Path(folder) / "none", Path(folder) / "gone"):
            try:
                found = cls.recognises(path)
            except Exception as error:
                raise AssertionError(
                    f"{cls.name}: recognises raises {error!r} for {path.name}; return False instead"
                ) from error
            assert found is False, f"{cls.name}: recognises accepts {path.name}, which is not of its format"


def check_missing(reader: Reader) -> None:
    """A missing path is reported in one line that names it."""
    if not reader.needs_path:
        return
    nowhere = Path("nowhere") / reader.path.name
    try:
        list(type(reader)(nowhere, reader.params).read())
    except InputError as error:
        assert "nowhere" in str(error), f"{reader.name}: a missing path is reported as {error}, without its name"
        return
    except Exception as error:
        raise AssertionError(
            f"{reader.name}: a missing path raises {error!r}; raise InputError, as `segue.plugin.existing` does"
        ) from error
    raise AssertionError(
        f"{reader.name}: a missing path is not reported; raise InputError, as `segue.plugin.existing` does"
    )


def check_before(reader: Reader, read: list[Record]) -> None:
    """The checks before a run agree with the records: no error for correct data, and all fields are offered."""
    try:
        reader.check_source()
    except Exception as error:
        raise AssertionError(f"{reader.name}: check_source raises {error!r} of data without a fault") from error
    offered = reader.fields_offered()
    if offered is None:
        return
    present = {name for record in read if isinstance(record, TrackRecord) for name in _fields_of(record)}
    missing = sorted(present - offered)
    assert not missing, (
        f"{reader.name}: fields_offered lacks {missing[0]!r}, which a track has;"
        " return None if only the records show it"
    )


def _fields_of(record: TrackRecord) -> Iterator[str]:
    """Names of the fields that a track has."""
    yield from record.fields
    places = {
        "title": record.title,
        "artist": record.artists,
        "artist_id": record.artist_ids,
        "album": record.album,
        "album_id": record.album_id,
        "duration": record.duration_s,
    }
    yield from (name for name, value in places.items() if value not in (None, ()))


def check_bad(make: Make) -> None:
    """A bad record stops the reading with its place and its cure, or is left out and counted."""
    reader = make("stop")
    try:
        list(reader.read())
    except DataError as error:
        assert reader.skip_by in str(error), (
            f"{reader.name}: {error} does not name the cure; report bad records with Reader.bad"
        )
    else:
        raise AssertionError(f"{reader.name}: a bad record is not reported; call Reader.bad for it")
    skipping = make("skip")
    kept = list(skipping.read())
    assert skipping.skipped.count, (
        f"{reader.name}: on_error: skip leaves a bad record out without counting it; call Reader.bad"
    )
    assert skipping.skipped.examples, f"{reader.name}: no example of a skipped record is kept; call Reader.bad"
    assert list(skipping.read()) == kept, (
        f"{reader.name}: a second reading that skips bad records differs from the first"
    )
    check_brief(make("skip"), kept)
    check_blocks(make("skip"), kept)


def check_memory(sized: Callable[[int], Reader], n: int = 500) -> None:
    """Four times the playlists take far less than four times the memory."""
    small, large = (_peak(sized(many)) for many in (n, 4 * n))
    name = sized(1).name
    assert large < max(GROWTH * small, FLOOR), (
        f"{name}: {n} playlists take {small:,} bytes, {4 * n} take {large:,}; read in parts, and keep no records"
    )


def _peak(reader: Reader) -> int:
    """Most bytes that Python held while records were read and dropped."""
    tracemalloc.start()
    try:
        for _ in reader.read():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _track_fault(record: TrackRecord) -> str | None:
    """The fault of a track's values; None for a correct track."""
    texts = (record.title, record.album, record.album_id)
    if not (isinstance(record.id, str) and record.id):
        return "its id must be text"
    if not all(text is None or (isinstance(text, str) and text.strip()) for text in texts):
        return "a name must be text, or None where there is none; not an empty text"
    if not all(
        isinstance(names, tuple) and all(isinstance(name, str) and name for name in names)
        for names in (record.artists, record.artist_ids)
    ):
        return "artists and artist_ids must be tuples of texts that are not empty"
    duration = record.duration_s
    if duration is not None and not (isinstance(duration, float | int) and math.isfinite(duration) and duration >= 0):
        return f"duration_s={duration!r} must be seconds >= 0, or None"
    return next((fault for name, field in record.fields.items() if (fault := _field_fault(name, field))), None)


def _field_fault(name: str, field: object) -> str | None:
    if not isinstance(field, Field):
        return f"field {name!r} is {type(field).__name__}, not a Field"
    if not isinstance(field.value, str | list | bytes | Path):
        return f"field {name!r} holds {type(field.value).__name__}: it must be text, a list of numbers, bytes or a path"
    if isinstance(field.value, list) and not (
        field.value and all(isinstance(number, float | int) and math.isfinite(number) for number in field.value)
    ):
        return f"field {name!r} must be a list of finite numbers: leave the field out instead"
    if field.entity not in ENTITIES:
        return f"field {name!r} is of entity {field.entity!r}, not one of {', '.join(ENTITIES)}"
    return (
        None
        if field.train_allowed in (True, False, None)
        else f"field {name!r}: train_allowed must be True, False or None"
    )


def _playlist_fault(record: PlaylistRecord, counts: bool) -> str | None:
    """The fault of a playlist's values; None for a correct playlist."""
    if not (isinstance(record.id, str) and record.id):
        return "its id must be text"
    if not (isinstance(record.tracks, list) and all(isinstance(track, str) and track for track in record.tracks)):
        return "its tracks must be a list of ids"
    if not all(text is None or isinstance(text, str) for text in (record.title, record.description, record.group)):
        return "title, description and group must be text or None"
    if record.split not in SPLITS:
        return f"split {record.split!r} must be train, valid, test or None"
    if (record.plays is not None) is not counts:
        return f"plays are {'missing' if counts else 'given'}, and `counts` says {counts}"
    for what, values in (("plays", record.plays), ("times", record.times)):
        if values is not None and len(values) != len(record.tracks):
            return f"{len(values)} {what} of {len(record.tracks)} tracks"
    whole = all(isinstance(time, int) for time in (record.time, *(record.times or ())))
    return None if whole else "times must be whole seconds since 1970"


def _playlists(found: Iterable[object]) -> list[PlaylistRecord]:
    return [record for record in found if isinstance(record, PlaylistRecord)]


def _names(found: Iterable[Record | NamedPlaylist]) -> dict[str, Names]:
    """Title, artists and album of every track, in the order of first mention, as a corpus keeps them."""
    names: dict[str, Names] = {}
    for record in found:
        if isinstance(record, TrackRecord):
            title, artists, album = names.get(record.id, (None, None, None))
            joined = ", ".join(dict.fromkeys(record.artists))
            names[record.id] = (record.title or title, joined or artists, record.album or album)
            continue
        tracks = record.playlist.tracks if isinstance(record, NamedPlaylist) else record.tracks
        fresh = [place for place, track in enumerate(tracks) if track not in names and track not in tracks[:place]]
        missing: list[str | None] = [None] * len(fresh)
        columns = record.names(fresh) if isinstance(record, NamedPlaylist) else (missing, missing, missing)
        names |= dict(zip((tracks[place] for place in fresh), zip(*columns, strict=True), strict=True))
    return names


def _differ(found: dict[str, Names], expected: dict[str, Names]) -> str:
    """The first track that is named otherwise."""
    track = next(track for track in {**expected, **found} if found.get(track) != expected.get(track))
    return f"{track!r} is {found.get(track)}, not {expected.get(track)}"


def _shown(record: object) -> str:
    text = repr(record)
    return text if len(text) <= 120 else f"{text[:119]}…"
