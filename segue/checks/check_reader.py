"""Conformance suite for readers, for authors of plug-ins. The built-in readers pass it too.

    from segue.plugin import check_reader

    def test_contract(tmp_path):
        (tmp_path / "lists.mine").write_text("a few playlists")
        check_reader(lambda on_error: MyReader(tmp_path / "lists.mine", on_error=on_error))

The checks are plain asserts. Each message names the violated rule of `toolkit.catalogue.readers.reader` and the
usual cause.
"""

from __future__ import annotations

import re
import tempfile
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

from pydantic import ValidationError

from toolkit.catalogue.readers.reader import OnError, Reader, ReaderParams
from toolkit.catalogue.readers.tables.record_blocks import records
from toolkit.catalogue.records import LARGEST, SMALLEST, Field, NamedPlaylist, PlaylistRecord, Record, TrackRecord
from toolkit.errors import DataError, InputError
from toolkit.packages import check_requires

Make = Callable[[OnError], Reader]
SCHEME = re.compile(r"[A-Za-z][\w+.-]+:.", re.DOTALL)
SPLITS = (None, "train", "valid", "test")
ENTITIES = ("track", "album", "artist")
GROWTH = 2.0
"""Largest allowed growth of memory when the number of playlists is multiplied by four."""
FLOOR = 2**23
"""Bytes of memory below which growth is ignored, about two batches."""

Names = tuple[str | None, str | None, str | None]


def check_reader(
    make: Make, *, bad: Make | None = None, sized: Callable[[int], Reader] | None = None, recognised: bool = True
) -> None:
    """Test a reader against the contract. Raises `AssertionError` at the first violated rule.

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
    """Check that name, options and properties of the class are declared."""
    assert isinstance(getattr(cls, "name", None), str) and cls.name, (
        f"{cls.__name__}.name must be a non-empty string: set the name that recipes use"
    )
    assert issubclass(cls.Params, ReaderParams), f"{cls.name}: Params must be a subclass of segue.plugin.ReaderParams"
    assert isinstance(cls.needs_path, bool), f"{cls.name}: needs_path={cls.needs_path!r} must be True or False"
    check_requires(cls)
    assert isinstance(cls.upper_bound, str), (
        f"{cls.name}: upper_bound={cls.upper_bound!r} must be the name of a ranker or ''"
    )


def check_params(cls: type[Reader]) -> None:
    """Check that an unknown option raises an error."""
    try:
        cls.Params.model_validate({"no_such_option": 1})
    except ValidationError:
        return
    raise AssertionError(f"{cls.name}: Params must reject unknown keys: keep extra='forbid' of ReaderParams")


def check_records(reader: Reader) -> list[Record]:
    """Check that `read` streams tracks and playlists with values of the right types. Returns the records."""
    stream = reader.read()
    assert iter(stream) is stream, (
        f"{reader.name}: read returned {type(stream).__name__} and must return an iterator: yield records"
    )
    read: list[Record] = []
    for record in stream:
        assert isinstance(record, TrackRecord | PlaylistRecord), (
            f"{reader.name}: read yielded {_shown(record)} and must yield TrackRecord or PlaylistRecord"
        )
        fault = _track_fault(record) if isinstance(record, TrackRecord) else _playlist_fault(record, reader.counts)
        assert fault is None, f"{reader.name}: {_shown(record)}: {fault}"
        for track in (record.id,) if isinstance(record, TrackRecord) else record.tracks:
            assert SCHEME.match(track), (
                f"{reader.name}: id {track!r} must have a scheme such as `local:`: call segue.plugin.qualified"
            )
        read.append(record)
    ids = [record.id for record in read if isinstance(record, PlaylistRecord)]
    assert ids, f"{reader.name}: read must yield a playlist or raise DataError: call segue.plugin.some"
    repeated = next((name for place, name in enumerate(ids) if name in ids[:place]), None)
    assert repeated is None, (
        f"{reader.name}: playlist id {repeated!r} must be unique: merge the playlists, or report the second as bad"
    )
    return read


def check_again(make: Make, reader: Reader, read: list[Record]) -> None:
    """Check that repeated and simultaneous readings return the same records."""
    assert list(reader.read()) == read, (
        f"{reader.name}: repeated readings must be identical: keep the state of a reading in local variables"
    )
    assert list(make("stop").read()) == read, (
        f"{reader.name}: readers of the same path must be identical: remove random draws and hash()"
    )
    first, second = reader.read(), reader.read()
    pairs = list(zip_longest(first, second))
    same = [left for left, _ in pairs] == read and [right for _, right in pairs] == read
    assert same, f"{reader.name}: simultaneous readings must be independent: keep the state in local variables"
    begun = reader.read()
    next(begun)
    if isinstance(begun, Iterator) and hasattr(begun, "close"):
        begun.close()
    assert list(reader.read()) == read, f"{reader.name}: an interrupted reading must not change the next reading"
    skipping = make("skip")
    assert list(skipping.read()) == read, f"{reader.name}: on_error='skip' must not change the records of correct data"
    assert not skipping.skipped.count, (
        f"{reader.name}: {skipping.skipped.count} records of correct data were skipped and must be read"
    )


def check_brief(reader: Reader, read: list[Record]) -> None:
    """Check that `brief` returns the same playlists and track names as `read`."""
    brief = list(reader.brief())
    lists = [record.playlist if isinstance(record, NamedPlaylist) else record for record in brief]
    assert _playlists(lists) == _playlists(read), f"{reader.name}: brief must yield the same playlists as read"
    assert _names(brief) == _names(read), (
        f"{reader.name}: brief must yield the track names of read ({_differ(_names(brief), _names(read))})"
    )


def check_blocks(reader: Reader, read: list[Record]) -> None:
    """Check that `blocks`, if implemented, contains the same playlists, names and track order as `read`."""
    blocks = reader.blocks()
    if blocks is None:
        return
    assert not reader.counts, (
        f"{reader.name}: counts=True requires blocks to return None, because blocks cannot contain plays"
    )
    found = list(records(blocks))
    for left, right in zip_longest(_playlists(found), _playlists(read)):
        assert left == right, (
            f"{reader.name}: blocks contain {_shown(left)} and must contain {_shown(right)}, as read yields"
        )
    assert _names(found) == _names(read), (
        f"{reader.name}: blocks must contain the track names of read ({_differ(_names(found), _names(read))})"
    )
    mentioned = (
        f"{reader.name}: blocks must contain tracks in the order of read, because the order determines item numbers"
    )
    assert list(_names(found)) == list(_names(read)), mentioned


def check_recognises(reader: Reader, recognised: bool) -> None:
    """Check that `recognises` accepts the reader's own path and returns False for others without raising."""
    cls = type(reader)
    if cls.needs_path:
        found = cls.recognises(reader.path)
        assert found is recognised, (
            f"{cls.name}: recognises returned {found!r} for {reader.path.name} and must return {recognised}"
        )
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "notes.txt"
        other.write_text("milk, eggs\n")
        (Path(folder) / "none").mkdir()
        for path in (other, Path(folder) / "none", Path(folder) / "gone"):
            try:
                found = cls.recognises(path)
            except Exception as error:
                raise AssertionError(
                    f"{cls.name}: recognises must not raise {error!r} for {path.name}: return False"
                ) from error
            assert found is False, (
                f"{cls.name}: recognises must return False for {path.name}, which has a different format"
            )


def check_missing(reader: Reader) -> None:
    """Check that a missing path raises an error of one line that contains the path."""
    if not reader.needs_path:
        return
    nowhere = Path("nowhere") / reader.path.name
    try:
        list(type(reader)(nowhere, reader.params).read())
    except InputError as error:
        assert "nowhere" in str(error), f"{reader.name}: the error {str(error)!r} must contain the missing path"
        return
    except Exception as error:
        raise AssertionError(
            f"{reader.name}: a missing path must raise InputError, not {error!r}: call segue.plugin.existing"
        ) from error
    raise AssertionError(f"{reader.name}: a missing path must raise InputError: call segue.plugin.existing")


def check_before(reader: Reader, read: list[Record]) -> None:
    """Check that `check_source` accepts correct data and that `fields_offered` lists all fields of the records."""
    try:
        reader.check_source()
    except Exception as error:
        raise AssertionError(f"{reader.name}: check_source must not raise {error!r} for correct data") from error
    offered = reader.fields_offered()
    if offered is None:
        return
    present = {name for record in read if isinstance(record, TrackRecord) for name in _fields_of(record)}
    missing = sorted(present - offered)
    assert not missing, (
        f"{reader.name}: fields_offered must contain {missing[0]!r}, because a track has this field:"
        " add it, or return None"
    )


def _fields_of(record: TrackRecord) -> Iterator[str]:
    """Yield the names of a track's fields."""
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
    """Check that a bad record either raises an error with place and cure or is skipped and counted."""
    reader = make("stop")
    try:
        list(reader.read())
    except DataError as error:
        assert reader.skip_by in str(error), (
            f"{reader.name}: the error {str(error)!r} must name the cure: report bad records with Reader.bad"
        )
    else:
        raise AssertionError(f"{reader.name}: a bad record must raise DataError: call Reader.bad")
    skipping = make("skip")
    kept = list(skipping.read())
    assert skipping.skipped.count, f"{reader.name}: on_error='skip' must count skipped records: call Reader.bad"
    assert skipping.skipped.examples, (
        f"{reader.name}: on_error='skip' must keep examples of skipped records: call Reader.bad"
    )
    assert list(skipping.read()) == kept, f"{reader.name}: repeated readings with on_error='skip' must be identical"
    check_brief(make("skip"), kept)
    check_blocks(make("skip"), kept)


def check_memory(sized: Callable[[int], Reader], n: int = 500) -> None:
    """Check that four times the playlists need far less than four times the memory."""
    small, large = (_peak(sized(many)) for many in (n, 4 * n))
    name = sized(1).name
    assert large < max(GROWTH * small, FLOOR), (
        f"{name}: {n} playlists need {small:,} bytes but {4 * n} need {large:,}: read in parts, and drop records"
    )


def _peak(reader: Reader) -> int:
    """Return the peak of memory in bytes while records are read and dropped."""
    tracemalloc.start()
    try:
        for _ in reader.read():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _track_fault(record: TrackRecord) -> str | None:
    """Return the fault in a track's values, or None."""
    texts = (record.title, record.album, record.album_id)
    if not (isinstance(record.id, str) and record.id):
        return f"id={record.id!r} must be a non-empty string"
    if not all(text is None or (isinstance(text, str) and text.strip()) for text in texts):
        return f"names {texts!r} must be non-empty strings or None"
    if not all(
        isinstance(names, tuple) and all(isinstance(name, str) and name for name in names)
        for names in (record.artists, record.artist_ids)
    ):
        return "artists and artist_ids must be tuples of non-empty strings"
    duration = record.duration_s
    if duration is not None and not (isinstance(duration, float | int) and 0 <= duration <= LARGEST):
        return f"duration_s={duration!r} must be >= 0 or None"
    return next((fault for name, field in record.fields.items() if (fault := _field_fault(name, field))), None)


def _field_fault(name: str, field: object) -> str | None:
    if not isinstance(field, Field):
        return f"field {name!r}={field!r:.60} must be a segue.plugin.Field"
    if not isinstance(field.value, str | list | bytes | Path):
        return f"field {name!r} has {type(field.value).__name__} and must have str, list of numbers, bytes or Path"
    if isinstance(field.value, list) and not (
        field.value and all(isinstance(number, float | int) and abs(number) <= LARGEST for number in field.value)
    ):
        return f"field {name!r} must be a non-empty list of finite numbers (float32): omit the field if there are none"
    if field.entity not in ENTITIES:
        return f"field {name!r} has entity={field.entity!r}, which must be one of {', '.join(ENTITIES)}"
    return (
        None
        if field.train_allowed in (True, False, None)
        else f"field {name!r} has train_allowed={field.train_allowed!r}, which must be True, False or None"
    )


def _playlist_fault(record: PlaylistRecord, counts: bool) -> str | None:
    """Return the fault in a playlist's values, or None."""
    if not (isinstance(record.id, str) and record.id):
        return f"id={record.id!r} must be a non-empty string"
    if not (isinstance(record.tracks, list) and all(isinstance(track, str) and track for track in record.tracks)):
        return f"tracks={record.tracks!r:.60} must be a list of non-empty strings"
    if not all(text is None or isinstance(text, str) for text in (record.title, record.description, record.group)):
        return "title, description and group must be strings or None"
    if record.split not in SPLITS:
        return f"split={record.split!r} must be 'train', 'valid', 'test' or None"
    if (record.plays is not None) is not counts:
        return f"plays must be {'set' if counts else 'None'} because counts={counts}"
    if not all(SMALLEST <= plays <= LARGEST for plays in record.plays or ()):
        return f"plays={record.plays!r:.60} must be above 0 and finite as float32"
    for what, values in (("plays", record.plays), ("times", record.times)):
        if values is not None and len(values) != len(record.tracks):
            return f"{len(values)} {what} must match {len(record.tracks)} tracks"
    whole = all(isinstance(time, int) for time in (record.time, *(record.times or ())))
    return None if whole else "times must be integers, in seconds since 1970"


def _playlists(found: Iterable[object]) -> list[PlaylistRecord]:
    return [record for record in found if isinstance(record, PlaylistRecord)]


def _names(found: Iterable[Record | NamedPlaylist]) -> dict[str, Names]:
    """Return title, artists and album of every track in order of first mention, as in a corpus."""
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
    """Describe the first track whose names differ."""
    track = next(track for track in {**expected, **found} if found.get(track) != expected.get(track))
    return f"{track!r} is {found.get(track)}, expected {expected.get(track)}"


def _shown(record: object) -> str:
    text = repr(record)
    return text if len(text) <= 120 else f"{text[:119]}…"
