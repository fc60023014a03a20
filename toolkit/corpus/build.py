"""From a reader to a corpus, and to a filled catalogue where one is wanted, in one pass over the file.

Placements go to a flat temporary file; memory holds the ids, the names and, while
the filters run, 30 bytes a placement.
"""

from __future__ import annotations

import shutil
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import IO, TypeVar

import numpy as np
import pyarrow as pa

from toolkit.catalogue.readers.base import Reader
from toolkit.catalogue.records import NamedPlaylist, Names, PlaylistRecord, Record, TrackRecord
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.arrays import Corpus
from toolkit.errors import DataError, InputError, SegueError
from toolkit.recipe import Filters

SPLITS = (None, "train", "valid", "test")
EVERY = 1000
"""Records between two calls of `progress`."""


def build(
    reader: Reader,
    catalogue: Catalogue | None,
    directory: Path,
    *,
    filters: Filters | None = None,
    progress: Callable[[int], None] | None = None,
) -> Corpus:
    """Read everything once: playlists into a corpus at `directory`, and all that is said of tracks into `catalogue` (None: nowhere).

    Titles, artists and albums stand in the corpus either way. The same input
    gives the same arrays; ids 1…V follow the first mention in
    the file. A corpus that stands at `directory` is replaced when the new one
    is complete, and not before. progress: called with the records so far.
    Raises `DataError` for what the reader cannot read, `InputError` where the
    filters leave no playlist or `directory` holds something else.
    """
    filters = filters or Filters()
    _check_target(directory)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory.parent, prefix=f".{directory.name}-") as work:
            with (Path(work) / "placements").open("w+b") as spool:
                intake = _Intake(spool, reader, drop_repeats=filters.repeats == "drop")
                if catalogue is None:
                    for done, _ in enumerate(intake.through(reader.brief()), start=1):
                        if progress is not None and done % EVERY == 0:
                            progress(done)
                else:
                    catalogue.add(intake.through(reader.read()), progress)
                kept = filtered(intake.placements(), intake.lengths(), len(intake.tracks), filters)
                _refuse_empty(kept, intake, filters, reader)
                _corpus(kept, intake).save(Path(work) / "corpus")
            _replace(directory, Path(work))
    except OSError as error:
        raise SegueError(f"the corpus cannot be written to {directory}: {error.strerror or error}") from None
    return Corpus.load(directory)


R = TypeVar("R", bound=Record | NamedPlaylist)


class _Intake:
    """Takes records on their way and spools the placements.

    A track that its playlist has already held is spooled as −id: plays are
    counted once a playlist, and one file tells both.
    """

    def __init__(self, spool: IO[bytes], reader: Reader, *, drop_repeats: bool) -> None:
        self.tracks: dict[str, int] = {}
        self.names: dict[str, list[str | None]] = {"title": [], "artist": [], "album": []}
        self.titles: list[str | None] = []
        self.groups: list[str | None] = []
        self.splits: list[str | None] = []
        self.playlists: dict[str, None] = {}
        self._lengths = array("q")
        self._spool = spool
        self._reader = reader
        self._drop_repeats = drop_repeats

    def through(self, records: Iterable[R]) -> Iterator[R]:
        """Pass records on; a bad playlist is reported to the reader and left out."""
        for record in records:
            if isinstance(record, TrackRecord):
                self._describe(record)
            else:
                playlist, names = (record.playlist, record.names) if isinstance(record, NamedPlaylist) else (record, None)
                if not self._fine(playlist):
                    continue
                self._take(playlist, names)
            yield record

    def placements(self) -> np.ndarray:
        """int32 [placements], mapped from the spool."""
        self._spool.flush()
        if not sum(self._lengths):
            return np.zeros(0, np.int32)
        return np.memmap(self._spool, dtype=np.int32, mode="r")

    def lengths(self) -> np.ndarray:
        return np.array(self._lengths, dtype=np.int64)

    def _describe(self, record: TrackRecord) -> None:
        """Keep a track's names; one that is left out leaves what an earlier record said."""
        number = self.tracks.setdefault(record.id, len(self.tracks) + 1)
        names = (record.title, _joined(record.artists), record.album)
        for column, name in zip(self.names.values(), names, strict=True):
            if number > len(column):
                column.append(name or None)
            elif name:
                column[number - 1] = name

    def _fine(self, record: PlaylistRecord) -> bool:
        if record.id in self.playlists:
            why = "its id came before"
        elif record.split not in SPLITS:
            why = f"split {record.split!r} must be train, valid or test"
        elif not all(record.tracks):
            why = "a track has an empty id"
        else:
            return True
        self._reader.bad(f"{self._reader.path}, playlist {record.id!r}", why)
        return False

    def _take(self, record: PlaylistRecord, names: Callable[[Sequence[int]], Names] | None) -> None:
        known = self.tracks
        numbers = array("i", map(known.get, record.tracks, repeat(0)))
        if 0 in numbers:
            fresh: list[int] = []
            for place in [place for place, number in enumerate(numbers) if not number]:
                number = known.setdefault(record.tracks[place], len(known) + 1)
                if number > len(self.names["title"]) + len(fresh):
                    fresh.append(place)
                numbers[place] = number
            nothing: list[str | None] = [None] * len(fresh)
            for column, some in zip(self.names.values(), names(fresh) if names else repeat(nothing), strict=False):
                column.extend(some)
        if len(set(numbers)) < len(numbers):
            numbers = self._without_repeats(numbers)
        self._spool.write(numbers)
        self._lengths.append(len(numbers))
        self.playlists[record.id] = None
        self.titles.append(record.title)
        self.groups.append(record.group)
        self.splits.append(record.split)

    def _without_repeats(self, numbers: array[int]) -> array[int]:
        """The same with what came before in it left out, or negative."""
        if self._drop_repeats:
            return array("i", dict.fromkeys(numbers))
        seen: set[int] = set()
        for place, number in enumerate(numbers):
            if number in seen:
                numbers[place] = -number
            seen.add(number)
        return numbers


def _joined(names: Sequence[str]) -> str | None:
    return ", ".join(dict.fromkeys(name for name in names if name)) or None


@dataclass(frozen=True)
class Kept:
    """What the filters leave. items: int32 of new ids; lengths: per kept playlist; rows and tracks: their old places (from 0)."""

    items: np.ndarray
    lengths: np.ndarray
    rows: np.ndarray
    tracks: np.ndarray


def filtered(placements: np.ndarray, lengths: np.ndarray, n_tracks: int, filters: Filters) -> Kept:
    """Apply minimum plays and lengths until neither takes anything more.

    placements: int32, track numbers from 1, negative where the playlist has
    held the track already. A track's plays are the playlists it is in; one
    that is played in the file but not often enough goes, one that nobody plays
    is governed by `unplayed`.
    """
    items, first = np.abs(placements), placements > 0
    rows = np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)
    ever_played = np.zeros(n_tracks + 1, bool)
    ever_played[items] = True
    good_list = np.ones(len(lengths), bool)
    while True:
        plays = np.bincount(items[first], minlength=n_tracks + 1)
        good_list = np.bincount(rows, minlength=len(lengths)) >= filters.min_playlist_length
        keep = (plays >= filters.min_track_plays)[items] & good_list[rows]
        if keep.all():
            break
        items, first, rows = items[keep], first[keep], rows[keep]
    good_track = np.where(ever_played & (filters.min_track_plays > 1), plays >= filters.min_track_plays, True)
    if filters.unplayed == "drop":
        good_track &= plays > 0
    good_track[0] = False
    renumbered = np.cumsum(good_track, dtype=np.int32)
    counts = np.bincount(rows, minlength=len(lengths))[good_list]
    return Kept(renumbered[items], counts, np.flatnonzero(good_list), np.flatnonzero(good_track) - 1)


def _corpus(kept: Kept, intake: _Intake) -> Corpus:
    columns: dict[str, Sequence[str | None]] = {"id": list(intake.tracks), **intake.names}
    tracks = pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}).take(pa.array(kept.tracks))
    about = {"id": list(intake.playlists), "title": intake.titles, "group": intake.groups, "split": intake.splits}
    playlists = pa.table({name: pa.array(values, pa.string()) for name, values in about.items()}).take(pa.array(kept.rows))
    offsets = np.concatenate([[0], np.cumsum(kept.lengths)]).astype(np.int64)
    return Corpus(kept.items, offsets, tracks, playlists)


def _refuse_empty(kept: Kept, intake: _Intake, filters: Filters, reader: Reader) -> None:
    """Raises where nothing is left, naming the filter to loosen."""
    lengths = intake.lengths()
    if len(kept.rows):
        return
    if not len(lengths):
        raise DataError(f"{reader.path} holds no usable playlist ({reader.skipped.count} bad records left out)")
    short = int((lengths < filters.min_playlist_length).sum())
    raise InputError(
        f"no playlist of {len(lengths)} is left: min_playlist_length={filters.min_playlist_length} took {short} at once, "
        f"min_track_plays={filters.min_track_plays} with it the other {len(lengths) - short}: lower one of them"
    )


def _check_target(directory: Path) -> None:
    """Raises where a corpus would overwrite something else, such as a mistyped home folder."""
    if not directory.exists() or (directory / "corpus.json").is_file():
        return
    if not directory.is_dir() or any(directory.iterdir()):
        raise InputError(f"{directory} holds something other than a corpus: choose another place")


def _replace(directory: Path, work: Path) -> None:
    """Put the finished corpus in place; the old one leaves only at that moment."""
    if directory.exists():
        directory.rename(work / "old")
    try:
        (work / "corpus").rename(directory)
    except OSError:
        if (work / "old").exists():
            (work / "old").rename(directory)
        raise
    shutil.rmtree(work / "old", ignore_errors=True)
