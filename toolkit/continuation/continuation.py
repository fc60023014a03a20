"""Continuation of a playlist with a system from a finished run. Only the run directory is required."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from toolkit import plugins, run_directory
from toolkit.catalogue.normalised_names import normalised
from toolkit.errors import InputError, RunDirectoryError
from toolkit.files import check_links, regular
from toolkit.ranker_registry import load_ranker
from toolkit.result_types import SystemEntry

NAMES = ("title", "artist", "album")
HARDLY = 10
"""Another system is suggested for new releases if it finds more than this factor of what the chosen one finds."""

if TYPE_CHECKING:
    import pyarrow as pa

    from toolkit.ranker import Ranker


@dataclass(frozen=True)
class Next:
    """Track that continues the playlist."""

    id: str
    title: str | None
    artist: str | None
    album: str | None
    score: float


class Continuation:
    """System of a finished run that continues playlists.

    - others: names of the run's other systems.
    - for_new_releases: the system in `others` that is better for tracks without training interactions; may be empty.
    """

    def __init__(
        self,
        ranker: Ranker,
        tracks: pa.Table,
        *,
        system: str,
        others: Sequence[str] = (),
        for_new_releases: str = "",
        run_dir: Path | None = None,
    ) -> None:
        self.ranker, self.tracks, self.system, self.run_dir = ranker, tracks, system, run_dir
        self.others, self.for_new_releases = others, for_new_releases

    @classmethod
    def load(cls, run_dir: Path, system: str | None = None) -> Self:
        """Load a system; default: the best on validation.

        Raises `RunDirectoryError` for a folder that is not a finished run, `InputError` for a system that is missing in
        the run or that cannot continue playlists.
        """
        entry, others = _entry(Path(run_dir), system)
        ranker = _ranker(entry, Path(run_dir))
        tracks = _tracks(Path(run_dir) / run_directory.TRACKS)
        if tracks.num_rows != ranker.n_items:
            sizes = f"its table has {tracks.num_rows} tracks, {entry['system']} ranks {ranker.n_items}"
            raise RunDirectoryError(f"{run_dir} is damaged ({sizes}): delete {run_dir}, and run the same command again")
        return cls(
            ranker,
            tracks,
            system=entry["system"],
            others=[other["system"] for other in others],
            for_new_releases=_for_new_releases(entry, others),
            run_dir=Path(run_dir),
        )

    def other_ranker(self, system: str) -> Ranker | None:
        """Return another system of the same run by name, or None for an unknown name."""
        if system == self.system:
            return self.ranker
        if self.run_dir is None or system not in self.others:
            return None
        entry, _ = _entry(self.run_dir, system)
        return _ranker(entry, self.run_dir)

    def continue_playlist(
        self,
        tracks: Sequence[str],
        title: str | None = None,
        k: int = 20,
        *,
        exclude: Iterable[str] = (),
        allow_repeats: bool = False,
        stacklevel: int = 2,
    ) -> list[Next]:
        """Return the k next tracks, best first, or fewer tracks with a warning.

        - tracks: external ids in playlist order; unknown ids are ignored with a warning.
        - title: playlist title, for systems that read titles.
        - exclude: ids that are never returned.
        - allow_repeats: whether tracks from the playlist may be returned.
        - stacklevel: stack level of the warnings, 2 for the caller of this method.

        Raises `InputError` if no track is known and the system cannot use a title instead, and if the system ranks no
        track.
        """
        from toolkit.corpus.queries import Queries

        if k < 1:
            raise InputError(f"k={k} must be >= 1: raise k")
        seeds = self._known([self.outside_id(track) for track in tracks], title, stacklevel + 1)
        excluded = [self.outside_id(track) for track in exclude]
        if unknown := [track for track in excluded if track not in self.item_of]:
            warnings.warn(
                f"{len(unknown)} of {len(excluded)} excluded tracks are not in the catalogue: {_first(unknown)}",
                stacklevel=stacklevel,
            )
        banned = {self.item_of[track] for track in excluded if track in self.item_of}
        length = min(k + len(banned), self.ranker.n_items)
        ids, scores = self.ranker.rank(Queries.of([seeds], titles=[title]), length, allow_repeats=allow_repeats)
        if not ids[0].any():
            raise InputError(self._nothing_ranked(seeds))
        if np.isnan(scores).any():
            raise RunDirectoryError(f"{self.system} has scores that are not numbers: restore the run, or fit it again")
        kept = [place for place in range(length) if ids[0, place] and int(ids[0, place]) not in banned][:k]
        if len(kept) < k:
            warnings.warn(
                f"{self.system} can rank no more than {len(kept)} tracks here, fewer than k={k}",
                stacklevel=stacklevel,
            )
        rows = self.tracks.take(ids[0, kept].astype("int64") - 1).to_pylist()
        return [
            Next(row["id"], row["title"], row["artist"], row["album"], float(score))
            for row, score in zip(rows, scores[0, kept], strict=True)
        ]

    @cached_property
    def item_of(self) -> dict[str, int]:
        """Item id of each track, by external id."""
        return {track: item for item, track in enumerate(self.tracks["id"].to_pylist(), start=1)}

    def outside_id(self, track: object) -> str:
        """Return an external id in the form of the catalogue: `local:a` for `a`, and `local:7` for 7."""
        text = str(track)
        return text if text in self.item_of or f"local:{text}" not in self.item_of else f"local:{text}"

    def _known(self, tracks: Sequence[str], title: str | None, stacklevel: int) -> list[int]:
        unknown = [track for track in tracks if track not in self.item_of]
        known = [self.item_of[track] for track in tracks if track in self.item_of]
        if not known and not (title and self.ranker.reads_titles):
            raise InputError(self._refusal(tracks, title))
        if unknown:
            warnings.warn(
                f"{len(unknown)} of {len(tracks)} tracks are not in the catalogue and left out: {_first(unknown)}",
                stacklevel=stacklevel,
            )
        return known

    def _nothing_ranked(self, seeds: Sequence[int]) -> str:
        """Return the error for a system that ranks no track, with the names of other systems."""
        shown = _first([self.tracks["id"][item - 1].as_py() for item in seeds])
        cure = (
            f"use another system ({', '.join(self.others)})"
            if self.others
            else "pass tracks that are in training playlists"
        )
        return f"{self.system} ranks no track after the {len(seeds)} seeds ({shown}): {cure}"

    def _refusal(self, tracks: Sequence[str], title: str | None) -> str:
        """Return the error for a playlist without known tracks."""
        if tracks:
            return f"none of the tracks is in the catalogue: {self._nearest(tracks)}"
        unread = f"{self.system} does not read titles and " if title else ""
        return f"{unread}no track is given: pass at least one id, such as {self.tracks['id'][0]}"

    def _nearest(self, tracks: Sequence[str]) -> str:
        """Return known ids with an id or title similar to the first of `tracks`."""
        first = tracks[0]
        ids, titles = self.tracks["id"].to_pylist(), self.tracks["title"].to_pylist()
        by_title: dict[str, int] = {}
        for row, title in enumerate(titles):
            by_title.setdefault(normalised(title or ""), row)
        bare = first.casefold()
        near = [row for row, known in enumerate(ids) if bare in (known.casefold(), known.partition(":")[2].casefold())]
        near += [by_title[title] for title in difflib.get_close_matches(normalised(first), by_title, n=3, cutoff=0.5)]
        near += [self.item_of[track] - 1 for track in difflib.get_close_matches(first, ids, n=3, cutoff=0.6)]
        if not near:
            return f"nothing looks like {first!r}; its ids look like {', '.join(ids[:3])}"
        artists = self.tracks["artist"].to_pylist()
        shown = [
            f"{ids[row]} ({titles[row] or 'no title'} by {artists[row] or 'unknown'})" for row in dict.fromkeys(near)
        ]
        return f"nearest to {first!r} are {', '.join(shown[:3])}"


def _entry(run_dir: Path, system: str | None) -> tuple[SystemEntry, list[SystemEntry]]:
    """Return the entry of a system in a run, and the entries of all other systems, best first."""
    run = run_directory.RunDirectory(run_dir)
    check_links(run_dir)
    saved = run.path(run_directory.SYSTEMS).exists()  # a model saved by itself has no recipe
    if not saved and not (run_dir / run_directory.RECIPE).exists():
        raise RunDirectoryError(
            f"{run_dir} is not a run directory: create a run with `segue run RECIPE --out {run_dir}`, or save a"
            " model with `model.save`"
        )
    if not saved:
        raise RunDirectoryError(
            f"{run_dir} is not a finished run: repeat the same `segue run` command to resume the run"
        )
    if folds := run.folds():
        raise InputError(
            f"{run_dir} pools several folds and holds no model: use the folder of a fold, such as {folds[0]}"
        )
    systems = [entry for entry in run.read(run_directory.SYSTEMS)["systems"] if not entry["oracle"]]
    if not systems:
        raise InputError(
            f"{run_dir} has only oracles, which read the hidden tracks: add a baseline or a model to the recipe"
        )
    names = [entry["system"] for entry in systems]
    if odd := [name for name in names if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name]:
        raise RunDirectoryError(f"{run_dir} is damaged (system {odd[0]!r} must name a folder): restore the run")
    chosen = names[0] if system is None else system
    if chosen not in names:
        raise InputError(f"{run_dir} has no system {chosen!r}: {plugins.suggest(chosen, names)}")
    return systems[names.index(chosen)], [entry for entry in systems if entry["system"] != chosen]


def _ranker(entry: SystemEntry, run_dir: Path) -> Ranker:
    with plugins.of_a_run():
        return load_ranker(entry["ranker"], run_dir / run_directory.MODEL / entry["system"])


def _for_new_releases(entry: SystemEntry, others: Sequence[SystemEntry]) -> str:
    """Return the name of the other system that is best, on validation, at tracks without training interactions.

    Returns an empty text unless that system is more than `HARDLY` times as good at them as `entry` is.
    """
    cold = entry.get("cold")
    best = max(others, key=lambda other: other.get("cold") or 0.0, default=None)
    return "" if cold is None or best is None or (best.get("cold") or 0.0) <= HARDLY * cold else best["system"]


def _tracks(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.feather as feather

    columns = [pa.field("id", pa.string(), nullable=False), *(pa.field(name, pa.string()) for name in NAMES)]
    try:
        with regular(path) as file:
            table = feather.read_table(file, columns=[column.name for column in columns], memory_map=False)
        table = table.cast(pa.schema(columns))
        table.validate(full=True)
        if table["id"].null_count:
            raise ValueError("a track has no id")
        return table
    except (OSError, pa.ArrowException, ValueError, MemoryError) as error:
        raise run_directory.unreadable(path, error) from None


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
