"""Continue a playlist with what a run trained: the run directory is all it needs."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from toolkit import plugins, run_directory
from toolkit.errors import InputError, RunDirectoryError

HARDLY = 10

if TYPE_CHECKING:
    import pyarrow as pa

    from toolkit.ranker import Ranker


@dataclass(frozen=True)
class Next:
    """A track that goes on with the playlist."""

    id: str
    title: str | None
    artist: str | None
    album: str | None
    score: float


class Continuation:
    """A system of a finished run, ready to be asked. others: the systems that could be asked instead.

    for_new_releases: that of them to ask for tracks that no training playlist holds, where this one hardly names any; else empty.
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
        self.ranker, self.tracks, self.system, self.others, self.run_dir = ranker, tracks, system, others, run_dir
        self.for_new_releases = for_new_releases

    @classmethod
    def load(cls, run_dir: Path, system: str | None = None) -> Self:
        """Load a system; default: the best on validation.

        Raises `RunDirectoryError` for a folder that is no finished run,
        `InputError` for a system the run does not have or that cannot be asked.
        """
        from toolkit.ranker_registry import load_ranker

        entry, others = _entry(Path(run_dir), system)
        ranker = load_ranker(entry["ranker"], Path(run_dir) / run_directory.MODEL / entry["system"])
        tracks = _tracks(Path(run_dir) / run_directory.TRACKS)
        if tracks.num_rows != ranker.n_items:
            raise RunDirectoryError(
                f"{run_dir} is damaged: its table has {tracks.num_rows} tracks, {entry['system']} ranks {ranker.n_items}"
            )
        names = [other["system"] for other in others]
        new = _for_new_releases(entry, others)
        return cls(ranker, tracks, system=entry["system"], others=names, for_new_releases=new, run_dir=Path(run_dir))

    def beside(self, system: str) -> Ranker | None:
        """Another system of the same run; None where it has none of that name."""
        from toolkit.ranker_registry import load_ranker

        if system == self.system:
            return self.ranker
        if self.run_dir is None or system not in self.others:
            return None
        entry, _ = _entry(self.run_dir, system)
        return load_ranker(entry["ranker"], self.run_dir / run_directory.MODEL / system)

    def continue_playlist(
        self,
        tracks: Sequence[str],
        title: str | None = None,
        k: int = 20,
        *,
        exclude: Iterable[str] = (),
        allow_repeats: bool = False,
    ) -> list[Next]:
        """The k tracks that come next, best first; fewer, with a warning, where the system can rank no more.

        tracks: outside ids in playlist order; unknown ones are left out with a
        warning. exclude: ids never to be named. Raises `InputError` where no
        track is known and there is no title that could stand for them, and where
        the system has nothing to say after them.
        """
        import numpy as np

        from toolkit.corpus.queries import Queries

        if k < 1:
            raise InputError(f"k={k} must be >= 1")
        seeds = self._known([self.outside_id(track) for track in tracks], title)
        excluded = [self.outside_id(track) for track in exclude]
        if unknown := [track for track in excluded if track not in self.item_of]:
            warnings.warn(
                f"{len(unknown)} of {len(excluded)} excluded tracks are not in the catalogue: {_some(unknown)}",
                stacklevel=2,
            )
        banned = {self.item_of[track] for track in excluded if track in self.item_of}
        wanted = min(k + len(banned), self.ranker.n_items)
        ids, scores = self.ranker.rank(Queries.of([seeds], titles=[title]), wanted, allow_repeats=allow_repeats)
        if not ids[0].any():
            raise InputError(self._silence(seeds))
        kept = [place for place in range(wanted) if ids[0, place] and int(ids[0, place]) not in banned][:k]
        if len(kept) < k:
            warnings.warn(
                f"{self.system} can rank no more than {len(kept)} tracks here, fewer than the k={k} asked for",
                stacklevel=2,
            )
        rows = self.tracks.take(ids[0, kept].astype(np.int64) - 1).to_pylist()
        return [_next(row, float(score)) for row, score in zip(rows, scores[0, kept], strict=True)]

    @cached_property
    def item_of(self) -> dict[str, int]:
        """Item id of a track's outside id."""
        return {track: item for item, track in enumerate(self.tracks["id"].to_pylist(), start=1)}

    def outside_id(self, track: object) -> str:
        """An id as the catalogue has it: `a` also stands for `local:a`, and 7 for `local:7`."""
        text = str(track)
        return text if text in self.item_of or f"local:{text}" not in self.item_of else f"local:{text}"

    def _known(self, tracks: Sequence[str], title: str | None) -> list[int]:
        unknown = [track for track in tracks if track not in self.item_of]
        known = [self.item_of[track] for track in tracks if track in self.item_of]
        if not known and not (title and self.ranker.reads_titles):
            raise InputError(self._refusal(tracks, title))
        if unknown:
            warnings.warn(
                f"{len(unknown)} of {len(tracks)} tracks are not in the catalogue and left out: {_some(unknown)}",
                stacklevel=3,
            )
        return known

    def _silence(self, seeds: Sequence[int]) -> str:
        """Why the system ranks nothing, and which others there are."""
        shown = _some([self.tracks["id"][item - 1].as_py() for item in seeds])
        cure = (
            f"ask another system ({', '.join(self.others)})"
            if self.others
            else "give tracks that are in training playlists"
        )
        return f"{self.system} knows none of the {len(seeds)} seeds, or nothing that goes with them: {shown}; {cure}"

    def _refusal(self, tracks: Sequence[str], title: str | None) -> str:
        """Why there is nothing to continue."""
        if tracks:
            return f"none of the tracks is in the catalogue: {self._nearest(tracks)}"
        unread = f"{self.system} does not read titles and " if title else ""
        return f"{unread}no track is given: give at least one id, such as {self.tracks['id'][0]}"

    def _nearest(self, tracks: Sequence[str]) -> str:
        """Ids whose id or title looks like the first of `tracks`."""
        wanted = tracks[0]
        ids, titles = self.tracks["id"].to_pylist(), self.tracks["title"].to_pylist()
        by_title: dict[str, int] = {}
        for row, title in enumerate(titles):
            by_title.setdefault((title or "").casefold(), row)
        bare = wanted.casefold()
        near = [row for row, known in enumerate(ids) if bare in (known.casefold(), known.partition(":")[2].casefold())]
        near += [by_title[title] for title in difflib.get_close_matches(wanted.casefold(), by_title, n=3, cutoff=0.5)]
        near += [self.item_of[track] - 1 for track in difflib.get_close_matches(wanted, ids, n=3, cutoff=0.6)]
        if not near:
            return f"nothing looks like {wanted!r}; its ids look like {', '.join(ids[:3])}"
        artists = self.tracks["artist"].to_pylist()
        shown = [
            f"{ids[row]} ({titles[row] or 'no title'} by {artists[row] or 'unknown'})" for row in dict.fromkeys(near)
        ]
        return f"nearest to {wanted!r} are {', '.join(shown[:3])}"


def _entry(run_dir: Path, system: str | None) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The description of a system of a run, and those of the others, the best first."""
    saved = (run_dir / run_directory.SYSTEMS).exists()  # a model saved by itself has no recipe
    if not saved and not (run_dir / run_directory.RECIPE).exists():
        raise RunDirectoryError(
            f"{run_dir} is not a run directory: make one with `segue run RECIPE --out {run_dir}`, or with `model.save`"
        )
    if not saved:
        raise RunDirectoryError(
            f"{run_dir} is not finished: run the same `segue run` command again, it goes on where it stopped"
        )
    if folds := run_directory.RunDirectory(run_dir).folds():
        raise InputError(
            f"{run_dir} is a table over several folds and holds no model: ask one of them, such as {folds[0]}"
        )
    try:
        systems = [
            entry
            for entry in run_directory.RunDirectory(run_dir).read(run_directory.SYSTEMS)["systems"]
            if not entry["oracle"]
        ]
    except (KeyError, TypeError):
        raise RunDirectoryError(
            f"{run_dir / run_directory.SYSTEMS} is damaged: delete it and run the same `segue run` command again"
        ) from None
    if not systems:
        raise InputError(
            f"{run_dir} has no system to ask, only oracles, which see the hidden tracks: add a baseline or a model to its recipe"
        )
    names = [entry["system"] for entry in systems]
    chosen = names[0] if system is None else system
    if chosen not in names:
        raise InputError(f"{run_dir} has no system {chosen!r} to ask: {plugins.suggest(chosen, names)}")
    return dict(systems[names.index(chosen)]), [entry for entry in systems if entry["system"] != chosen]


def _for_new_releases(entry: dict[str, Any], others: Sequence[dict[str, Any]]) -> str:
    """The other that found most of the hidden tracks without plays on validation, where that is over `HARDLY` times this one's; else empty.

    Not the best of those by all tracks: one that ranks such tracks by chance finds more of them than one that never names any.
    """
    cold = entry.get("cold")
    best = max(others, key=lambda other: other.get("cold") or 0.0, default=None)
    return "" if cold is None or best is None or (best.get("cold") or 0.0) <= HARDLY * cold else str(best["system"])


def _tracks(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.feather as feather

    try:
        return feather.read_table(path, columns=["id", "title", "artist", "album"])
    except (OSError, pa.ArrowInvalid) as error:
        raise RunDirectoryError(
            f"{path} cannot be read ({error}): delete it and run the same `segue run` command again"
        ) from None


def _next(row: dict[str, Any], score: float) -> Next:
    return Next(row["id"], row["title"], row["artist"], row["album"], score)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
