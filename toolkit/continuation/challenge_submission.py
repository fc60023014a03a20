"""Submission files for the Million Playlist Dataset challenge, written from a run and verified.

The format follows the rules of the challenge (AIcrowd, Spotify Million Playlist Dataset Challenge). Empty lines and
lines that begin with `#` are ignored. The first other line is `team_info, name, e-mail`. Each further line is `pid,
trackuri_1, …, trackuri_500`, with 500 distinct tracks and no seeds.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from toolkit.catalogue.readers.mpd import MpdReader
from toolkit.catalogue.records import PlaylistRecord
from toolkit.continuation.continuation import Continuation
from toolkit.corpus.queries import Queries
from toolkit.errors import DataError, InputError
from toolkit.files import write_bytes
from toolkit.terminal import cell

TRACKS = 500
BLOCK = 256
"""Playlists ranked at once."""

SCHEME = "spotify:track:"


def challenge_set(path: Path) -> list[PlaylistRecord]:
    """Return the playlists of a `challenge_set.json`, with their seeds and titles."""
    playlists = [record for record in MpdReader(path).read() if isinstance(record, PlaylistRecord)]
    if not playlists:
        raise DataError(f"{path} must hold at least one playlist: pass the challenge_set.json of the challenge")
    return playlists


def write(model: Continuation, playlists: Sequence[PlaylistRecord], path: Path, *, team: str, email: str) -> int:
    """Write a submission, gzipped for names ending in `.gz`. Returns the number of playlists completed by popularity.

    If a system ranks fewer than 500 tracks, because it can use neither seeds nor title, the most popular other tracks
    are appended, if the run has `popularity`. Raises `InputError` if the run has no `popularity`, or too few tracks.
    """
    if model.ranker.n_items < TRACKS + max(len(set(each.tracks)) for each in playlists):
        raise InputError(
            f"the run's catalogue has {model.ranker.n_items} tracks, but must have {TRACKS} besides the seeds:"
            " train on more tracks"
        )
    ids, filled, lines = model.tracks["id"].to_pylist(), 0, [["team_info", team, email]]
    for start in range(0, len(playlists), BLOCK):
        part = playlists[start : start + BLOCK]
        queries = Queries.of([_seeds(model, record) for record in part], [record.title for record in part])
        ranked = model.ranker.rank(queries, TRACKS)[0]
        short = np.flatnonzero((ranked > 0).sum(axis=1) < TRACKS)
        if len(short):
            _fill(model, part, ranked, short)
        filled += len(short)
        lines += [
            [_pid(record), *(ids[item - 1] for item in row)] for record, row in zip(part, ranked.tolist(), strict=True)
        ]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(map(cell, line) for line in lines)
    data = text.getvalue().encode()
    write_bytes(path, gzip.compress(data, mtime=0) if path.name.endswith(".gz") else data)
    return filled


def _seeds(model: Continuation, record: PlaylistRecord) -> list[int]:
    return [model.item_of[track] for track in record.tracks if track in model.item_of]


def _fill(model: Continuation, part: Sequence[PlaylistRecord], ranked: np.ndarray, short: np.ndarray) -> None:
    """Append the most popular tracks that are neither seeds nor ranked to the rows `short` of `ranked`, in place."""
    popularity = model.other_ranker("popularity")
    if popularity is None:
        raise InputError(
            f"{model.system} ranks fewer than {TRACKS} tracks after playlist {_pid(part[short[0]])}: "
            "add popularity to the run's baselines"
        )
    order = popularity.rank(
        Queries.of([[]]), min(popularity.n_items, 2 * TRACKS + max(len(each.tracks) for each in part))
    )[0][0]
    for row in short.tolist():
        kept = ranked[row][ranked[row] > 0]
        more = order[(order > 0) & ~np.isin(order, np.concatenate([kept, _seeds(model, part[row])]))]
        both = np.concatenate([kept, more])[:TRACKS]
        if len(both) < TRACKS:
            raise InputError(
                f"playlist {_pid(part[row])} has only {len(both)} tracks that can be ranked, not {TRACKS}: "
                "train on more playlists"
            )
        ranked[row] = both


def verify(path: Path, playlists: Iterable[PlaylistRecord]) -> list[str]:
    """Return the errors in a submission, a line each. The result is empty for a valid submission."""
    seeds = {_pid(record): set(record.tracks) for record in playlists}
    faults: list[str] = []
    seen: set[str] = set()
    lines = _lines(path)
    number, first = next(lines, (0, []))
    if not first or first[0] != "team_info" or len(first) not in (3, 4) or not all(first):
        faults.append(f"line {number}: must be team_info, team name, e-mail")
    for number, (pid, *tracks) in lines:
        faults += [f"line {number}: {fault}" for fault in _faults(pid, tracks, seeds, seen)]
        seen.add(pid)
    missing = [pid for pid in seeds if pid not in seen]
    return faults + ([f"{len(missing)} playlists are missing, the first of them {missing[0]}"] if missing else [])


def _faults(pid: str, tracks: Sequence[str], seeds: Mapping[str, set[str]], seen: set[str]) -> Iterator[str]:
    if pid not in seeds:
        yield f"playlist {pid} is not in the challenge set"
        return
    if pid in seen:
        yield f"playlist {pid} is listed twice"
    if len(tracks) != TRACKS:
        yield f"playlist {pid} has {len(tracks)} tracks, not {TRACKS}"
    if len(set(tracks)) < len(tracks):
        yield f"playlist {pid} lists a track twice"
    if shown := seeds[pid] & set(tracks):
        yield f"playlist {pid} names its seed {sorted(shown)[0]}"
    if strange := next((track for track in tracks if not track.startswith(SCHEME)), None):
        yield f"playlist {pid} names {strange!r}, which does not begin with {SCHEME}"


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and cells of each line that is not a comment. Raises `DataError` if the file is not text."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode()
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: write it with `segue submit`") from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error}): write the file again with `segue submit`") from None
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip() and not line.startswith("#"):
            try:
                yield number, [cell.strip() for cell in next(csv.reader([line]))]
            except csv.Error as error:
                raise DataError(
                    f"{path}, line {number} must be CSV text in UTF-8 ({error}): write the file again with"
                    " `segue submit`"
                ) from None


def _pid(record: PlaylistRecord) -> str:
    return record.id.removeprefix("mpd:")
