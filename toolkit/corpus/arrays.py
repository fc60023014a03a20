"""Memory-mapped playlists as int32 item ids and int64 offsets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.catalogue.normalised_names import artist_key
from toolkit.corpus.corpus_files import FIELD as FIELD
from toolkit.corpus.corpus_files import PLAYS as PLAYS
from toolkit.corpus.corpus_files import TIMES as TIMES
from toolkit.corpus.corpus_files import CorpusParts, read_parts, write_parts
from toolkit.corpus.distinct_texts import mapped, numbered
from toolkit.timestamps import NO_TIME

DIGESTED = 1 << 20  # numbers that are hashed at once


@dataclass(frozen=True)
class Corpus:
    """Playlists over a catalogue of V tracks.

    - items: int32 [placements], ids 1…V in playlist order.
    - offsets: int64 [P + 1]; playlist p is items[offsets[p]:offsets[p + 1]].
    - tracks: V rows (id, title, artist, album); row i is item i + 1.
    - playlists: P rows (id, title, group, split), `field:NAME` for each field of playlists, and `time` int64 if only
      playlists have a time.
    - plays: float32 [placements], play counts, or None if every entry counts once.
    - times: int64 [placements], seconds since 1970, with `NO_TIME` for unknown times, or None if no time is
      known.
    - recording: int64 [V + 1], result of `recordings` with durations or codes, which a corpus does not have.
    """

    items: np.ndarray
    offsets: np.ndarray
    tracks: pa.Table
    playlists: pa.Table
    path: Path | None = None
    plays: np.ndarray | None = None
    times: np.ndarray | None = None
    recording: np.ndarray | None = None

    @property
    def n_items(self) -> int:
        return self.tracks.num_rows

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def item_of(self) -> dict[str, int]:
        """Return item ids by external track id."""
        return {track: item for item, track in enumerate(self.tracks["id"].to_pylist(), start=1)}

    @cached_property
    def groups(self) -> np.ndarray:
        """Return int64 [P], with equal numbers for versions of the same playlist."""
        names = self.playlists["group"].combine_chunks()
        if names.null_count == len(names):
            return np.arange(len(self), dtype=np.int64)
        own = pc.binary_join_element_wise(pa.scalar("\x00own"), self.playlists["id"].combine_chunks(), "\x00")
        return pc.fill_null(names, own).dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)

    @cached_property
    def artists(self) -> np.ndarray:
        """Return int64 [V + 1], with equal numbers for equal normalised artists, and -1 for unknown and padding."""
        if "artist" not in self.tracks.column_names:
            return np.full(self.n_items + 1, -1, np.int64)
        return np.concatenate([[-1], numbered(mapped(self.tracks["artist"], lambda text: artist_key(text) or None))])

    @cached_property
    def recordings(self) -> np.ndarray:
        """Return int64 [V + 1], with equal numbers for ids of the same recording, the smallest item id; 0 is padding.

        Without `recording`, only names are compared.
        """
        if self.recording is not None:
            return self.recording
        if "title" not in self.tracks.column_names or self.tracks["title"].null_count == self.n_items:
            return np.arange(self.n_items + 1)
        from toolkit.corpus.recordings import recordings

        return recordings(*(self.tracks[name] for name in ("id", "title", "artist", "album")))

    def with_own_recordings(self) -> Corpus:
        """Return the corpus with every item as a recording of its own, because different artists may share a name."""
        return replace(self, recording=np.arange(self.n_items + 1))

    @cached_property
    def playlist_times(self) -> np.ndarray | None:
        """Return the playlist times, int64 [P], if only these are known, or None."""
        if self.times is not None or "time" not in self.playlists.column_names:
            return None
        return np.asarray(
            pc.fill_null(self.playlists["time"].combine_chunks(), NO_TIME).to_numpy(zero_copy_only=False), np.int64
        )

    @property
    def has_times(self) -> bool:
        """Return whether any time is known."""
        return self.times is not None or self.playlist_times is not None

    def placement_times(self, first: int, last: int) -> np.ndarray:
        """Return the times of all entries in playlists first…last − 1, int64, or else the playlist times."""
        bounds = np.asarray(self.offsets[first : last + 1])
        if self.times is not None:
            return np.asarray(self.times[bounds[0] : bounds[-1]])
        assert self.playlist_times is not None
        return np.repeat(self.playlist_times[first:last], np.diff(bounds))

    def blocks(self, size: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield (first, last, low, high) for playlists first…last − 1 with about `size` entries low…high − 1."""
        offsets = np.asarray(self.offsets)
        cuts = np.unique(np.append(np.searchsorted(offsets, np.arange(0, len(self.items), size)), len(self)))
        yield from ((first, last, int(offsets[first]), int(offsets[last])) for first, last in pairwise(cuts.tolist()))

    def titles(self, rows: np.ndarray) -> list[str | None]:
        """Return the titles of the playlists `rows`."""
        return self.playlists["title"].take(pa.array(rows)).to_pylist()

    def same_playlists(self, other: Corpus) -> bool:
        """Return whether both have the same tracks in the same playlists, in order."""
        return (
            np.array_equal(self.offsets, other.offsets)
            and np.array_equal(self.items, other.items)
            and bool(self.tracks["id"].equals(other.tracks["id"]))
        )

    def digest(self) -> str:
        """Return the BLAKE2b hash of playlists, tracks and names in order, as 32 hex digits.

        The hash does not depend on the data format or on chunks and encodings of the tables.
        """
        from toolkit.catalogue.readers.tables.table_digest import table_digest

        whole = hashlib.blake2b(digest_size=16)
        kinds = {"items": "<i4", "offsets": "<i8", "plays": "<f4", "times": "<i8"}
        for name, kind in kinds.items():
            values: np.ndarray | None = getattr(self, name)
            whole.update(f"{name} {-1 if values is None else len(values)} ".encode())
            numbers = np.zeros(0) if values is None else values
            for start in range(0, len(numbers), DIGESTED):
                whole.update(np.ascontiguousarray(numbers[start : start + DIGESTED], np.dtype(kind)).tobytes())
        for table in (self.tracks, self.playlists):
            whole.update(table_digest(table).encode())
        return whole.hexdigest()

    def save(self, directory: Path) -> None:
        """Write the corpus to files that `load` memory-maps, with their checksums."""
        write_parts(
            directory, CorpusParts(self.items, self.offsets, self.tracks, self.playlists, self.plays, self.times)
        )

    @classmethod
    def load(cls, directory: Path, *, mapped: bool = True) -> Corpus:
        """Load a saved corpus.

        - mapped: whether arrays are memory-mapped. Pass False for a folder from somebody else: ids are then checked for
          repetition, and the process does not end with a bus error if a file shrinks.

        Raises `DataError` for missing, damaged or inconsistent files.
        """
        parts = read_parts(directory, mapped=mapped)
        return cls(
            parts.items, parts.offsets, parts.tracks, parts.playlists, directory, plays=parts.plays, times=parts.times
        )
