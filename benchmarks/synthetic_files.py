"""Write synthetic playlists with the lengths and popularity of the Million Playlist Dataset: as arrays, or as its JSON
slices.

    python benchmarks/synthetic_files.py --out FOLDER --playlists 1000000 --tracks 2262292 --placements 66346428

Both hold the same playlists, ids and names, and appear under their name when they are complete, not before.
The JSON is the dataset's (its README; key order and four blanks of indentation as in its files).
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from synthetic import (
    MPD_ALBUM_NAMES,
    MPD_ALBUMS,
    MPD_ARTIST_NAMES,
    MPD_ARTISTS,
    MPD_PLACEMENTS,
    MPD_PLAYLISTS,
    MPD_TRACKS,
    Synthetic,
)

from toolkit.corpus.corpus_files import write_summary
from toolkit.errors import InputError
from toolkit.files import folder
from toolkit.progress import Progress

SLICE = 1000
"""Playlists a slice."""
BYTES_A_PLACEMENT = 96
"""What making one placement holds at the peak: the network's halves and hashes, its place, its rank."""
BYTES_A_ROW = 1024
"""The same for one row of the tables of tracks and playlists."""
BYTES_A_JSON_PLACEMENT = 480
"""About what one takes in the slices; a few more in large catalogues, whose names have more digits."""
TRACK_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "title", "artist", "album")])
PLAYLIST_SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "title", "group", "split")])


def write_arrays(data: Synthetic, directory: Path, *, memory_mb: int = 256, progress: Progress | None = None) -> None:
    """Write what `Corpus.load` maps: items, offsets, tracks and playlists.

    memory_mb: bound on what is worked on at once, beside the 8 bytes a playlist and 28 a track of `data`.
    Raises `InputError` where something stands at `directory`.
    """
    _check_free(directory)
    _check_room(directory, 4 * data.placements + 8 * data.playlists, "placements")
    with folder(directory) as unfinished:
        _write_items(data, unfinished / "items.npy", memory_mb, progress)
        np.save(unfinished / "offsets.npy", data.offsets)
        rows = _step(memory_mb, BYTES_A_ROW)
        _write_table(
            unfinished / "tracks.arrow", TRACK_SCHEMA, (_tracks(data, part) for part in _blocks(data.tracks, rows))
        )
        _write_table(
            unfinished / "playlists.arrow",
            PLAYLIST_SCHEMA,
            (_playlists(data, part) for part in _blocks(data.playlists, rows)),
        )
        write_summary(unfinished, tracks=data.tracks, playlists=data.playlists, placements=data.placements)


def write_slices(
    data: Synthetic, directory: Path, *, slices: int | None = None, progress: Progress | None = None
) -> None:
    """Write `mpd.slice.0-999.json` and so on; the first `slices` of them, or all. One slice is in memory at a time.

    Raises `InputError` where something stands at `directory`, there are fewer slices, or the disk has no room for them.
    """
    _check_free(directory)
    every = -(-data.playlists // SLICE)
    if slices is not None and not 1 <= slices <= every:
        raise InputError(
            f"slices={slices} must be 1 to {every}: {data.playlists} playlists make {every} slices of {SLICE}"
        )
    _check_room(directory, BYTES_A_JSON_PLACEMENT * data.placements * (slices or every) // every, "slices")
    with folder(directory) as unfinished:
        for number in range(slices or every):
            rows = np.arange(number * SLICE, min((number + 1) * SLICE, data.playlists))
            (unfinished / f"mpd.slice.{rows[0]}-{rows[-1]}.json").write_bytes(_slice(data, rows))
            if progress is not None:
                progress(number + 1, slices or every, "slices")


def _check_free(directory: Path) -> None:
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"{directory} exists and is not empty: choose another place, or delete it")


def _check_room(directory: Path, needed: int, what: str) -> None:
    """Raise `InputError` if the disk has no room for `needed` bytes. what: the rows to reduce, for the message."""
    place = next(each for each in directory.absolute().parents if each.exists())
    if (free := shutil.disk_usage(place).free) < needed:
        raise InputError(
            f"{directory} needs {needed / 1e9:,.1f} GB and {free / 1e9:,.1f} are free: reduce the {what}, or make room"
        )


def _step(memory_mb: int, bytes_each: int) -> int:
    return max(1, memory_mb * 2**20 // bytes_each)


def _blocks(total: int, step: int) -> Iterator[np.ndarray]:
    return (np.arange(start, min(start + step, total)) for start in range(0, total, step))


def _write_items(data: Synthetic, path: Path, memory_mb: int, progress: Progress | None) -> None:
    """Written, not mapped: pages of a map that were written to would count as this process's memory."""
    step = _step(memory_mb, BYTES_A_PLACEMENT)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<i4", "fortran_order": False, "shape": (data.placements,)}
        )
        for start in range(0, data.placements, step):
            stop = min(start + step, data.placements)
            file.write((data.items(start, stop) + np.int32(1)).astype("<i4").tobytes())
            if progress is not None:
                progress(stop, data.placements, "placements")


def _write_table(path: Path, schema: pa.Schema, batches: Iterator[list[pa.Array]]) -> None:
    with pa.ipc.new_file(path, schema) as file:
        for columns in batches:
            file.write_batch(pa.record_batch(columns, schema=schema))


def _tracks(data: Synthetic, tracks: np.ndarray) -> list[pa.Array]:
    names = _names(data, tracks)
    return [names["track_uri"], names["track_name"], names["artist_name"], names["album_name"]]


def _playlists(data: Synthetic, rows: np.ndarray) -> list[pa.Array]:
    none = pa.nulls(len(rows), pa.string())
    return [_numbered("mpd:", rows), _numbered("Playlist ", data.titles(rows) + 1), none, none]


def _names(data: Synthetic, tracks: np.ndarray) -> dict[str, pa.Array]:
    """What the dataset says of tracks, by its own keys: texts as string arrays."""
    artists, albums = data.artists(tracks), data.albums(tracks)
    return {
        "artist_name": _numbered("Artist ", artists * MPD_ARTIST_NAMES // MPD_ARTISTS + 1),
        "track_uri": _uris(data, "track", tracks),
        "artist_uri": _uris(data, "artist", artists),
        "track_name": _numbered("Track ", tracks + 1),
        "album_uri": _uris(data, "album", albums),
        "album_name": _numbered("Album ", albums * MPD_ALBUM_NAMES // MPD_ALBUMS + 1),
    }


def _numbered(prefix: str, numbers: np.ndarray) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _uris(data: Synthetic, kind: str, numbers: np.ndarray) -> pa.Array:
    code = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(22), len(numbers), [None, pa.py_buffer(data.codes(kind, numbers))]
    )
    return pc.binary_join_element_wise(f"spotify:{kind}:", code.cast(pa.binary()).cast(pa.string()), "")


def _slice(data: Synthetic, rows: np.ndarray) -> bytes:
    """One slice as JSON. Names are plain letters and digits, so nothing needs escaping."""
    first, last = data.offsets[rows[0]], data.offsets[rows[-1] + 1]
    offsets = data.offsets[rows[0] : rows[-1] + 2] - first
    tracks = data.items(int(first), int(last))
    durations = data.durations(tracks)
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), _placements(data, tracks, offsets, durations))
    fields = {
        "name": _quoted(_numbered("Playlist ", data.titles(rows) + 1)),
        "collaborative": '"false"',
        "pid": _text(rows),
        "modified_at": "1493424000",
        "num_tracks": _text(np.diff(offsets)),
        "num_albums": _text(_distinct(data.albums(tracks), offsets)),
        "num_followers": "1",
        "tracks": pc.binary_join_element_wise("[\n", pc.binary_join(lists, ",\n"), "\n            ]", ""),
        "num_edits": "1",
        "duration_ms": _text(np.add.reduceat(durations, offsets[:-1])),
        "num_artists": _text(_distinct(data.artists(tracks), offsets)),
    }
    playlists = ",\n".join(_objects(fields, indent=8).to_pylist())
    info = f'"generated_on": "synthetic",\n        "slice": "{rows[0]}-{rows[-1]}",\n        "version": "v1"'
    return f'{{\n    "info": {{\n        {info}\n    }},\n    "playlists": [\n{playlists}\n    ]\n}}'.encode()


def _placements(data: Synthetic, tracks: np.ndarray, offsets: np.ndarray, durations: np.ndarray) -> pa.Array:
    """Each placement as a JSON object."""
    positions = np.arange(len(tracks)) - np.repeat(offsets[:-1], np.diff(offsets))
    names = {key: _quoted(texts) for key, texts in _names(data, tracks).items()}
    album = names.pop("album_name")
    return _objects({"pos": _text(positions), **names, "duration_ms": _text(durations), "album_name": album}, indent=16)


def _objects(fields: dict[str, pa.Array | str], *, indent: int) -> pa.Array:
    """JSON objects from columns of JSON values, a key a line."""
    pad, parts = " " * indent, []
    before = pad + "{\n"
    for key, values in fields.items():
        parts += [f'{before}{pad}    "{key}": ', values]
        before = ",\n"
    return pc.binary_join_element_wise(*parts, f"\n{pad}}}", "")


def _quoted(texts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise('"', texts, '"', "")


def _text(numbers: np.ndarray) -> pa.Array:
    return pa.array(numbers).cast(pa.string())


def _distinct(values: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """How many different values each list holds: int64 [n]."""
    rows = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    pairs = np.unique(np.stack([rows, values]), axis=1)
    return np.bincount(pairs[0], minlength=len(offsets) - 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write; must be new or empty")
    parser.add_argument("--playlists", type=int, default=MPD_PLAYLISTS)
    parser.add_argument("--tracks", type=int, default=MPD_TRACKS, help="each is in at least one playlist")
    parser.add_argument("--placements", type=int, default=MPD_PLACEMENTS, help="sum of the lengths, which are 5 to 250")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--format", choices=("arrays", "mpd"), default="arrays")
    parser.add_argument("--slices", type=int, help="with --format mpd: only the first N slices of 1,000 playlists")
    parser.add_argument("--memory-mb", type=int, default=256, help="memory limit; the files do not depend on it")
    args = parser.parse_args()
    if args.slices is not None and args.format != "mpd":
        parser.error("--slices needs --format mpd")
    data = Synthetic(args.playlists, args.tracks, args.placements, args.seed)
    try:
        if args.format == "mpd":
            write_slices(data, args.out, slices=args.slices)
        else:
            write_arrays(data, args.out, memory_mb=args.memory_mb)
    except InputError as error:
        parser.error(str(error))
    print(f"{args.out}: {args.playlists:,} playlists, {args.tracks:,} tracks, {args.placements:,} placements")


if __name__ == "__main__":
    main()
