"""Models rank the tracks of a catalogue as the next tracks of a playlist."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from segue.arguments import NAME, check_target, length_of, list_of, seed_of
from segue.modalities import Modality, modalities_of
from segue.split import HeldOutPlaylists, Training, check_parts
from toolkit.continuation import Continuation
from toolkit.errors import InputError, SegueError
from toolkit.progress import interactive
from toolkit.ranker_registry import entry_name
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from toolkit.progress import Progress
    from toolkit.ranker import Ranker


class Model:
    """Base class of all models, which rank tracks as the next tracks of a playlist.

    All models are fitted, evaluated, queried and saved in the same way. `segue.SASRec`, `segue.EASE` and the other classes of
    `segue list rankers` and `segue list models` are subclasses. `segue.ranker` creates a model from a name or class.

    - name: the name of its row in tables.
    - modalities: the content that it uses.
    - seed: seed of its random numbers.
    - device: `auto`, `cpu` or `cuda`.
    """

    kind: ClassVar[str] = ""
    """The name of the part that a generated subclass wraps."""

    def __init__(self, *, name: str, modalities: Sequence[Modality] = (), seed: int = 0, device: str = "auto") -> None:
        self.name, self.modalities, self.seed, self.device = name, modalities_of(modalities), seed_of(seed), device
        if not NAME.fullmatch(name):
            raise InputError(f"the name {name!r} must be of letters, digits, '.', '_', '~' and '-': it names a folder")
        self._ranker: Ranker | None = None
        self._tracks: pa.Table | None = None
        self._train: Training | None = None

    @abstractmethod
    def make(self, train: Training) -> Ranker:
        """Create a new ranker that is not fitted yet."""

    def __repr__(self) -> str:
        return f"<segue.{type(self).__name__} {self.name!r}, {'fitted' if self._ranker is not None else 'not fitted'}>"

    @property
    def ranker(self) -> Ranker:
        """The fitted ranker, which uses item numbers instead of ids. Raises `SegueError` before `fit`."""
        if self._ranker is None:
            raise SegueError(f"{self.name} is not fitted: call fit(split.train, valid=split.valid) first")
        return self._ranker

    @property
    def tracks(self) -> pa.Table:
        """The catalogue that the model ranks: id, title, artist, album. Row i is item i + 1."""
        assert self._tracks is not None, "a fitted model has its tracks"
        return self._tracks

    @property
    def train(self) -> Training | None:
        """The playlists that it was fitted to; None for a model that was loaded."""
        return self._train

    @property
    def curve(self) -> pd.DataFrame:
        """One row per epoch: epoch, loss, seconds and validation metrics. Empty for models without epochs."""
        import pandas as pd

        return pd.DataFrame(self.ranker.curve)

    def fit(
        self,
        train: Training,
        valid: HeldOutPlaylists | None = None,
        *,
        systems: Mapping[str, Model] | Iterable[Model] = (),
        workdir: str | Path | None = None,
        progress: Progress | None = None,
        draws_as: str | None = None,
    ) -> Self:
        """Learn from training playlists. A second fit starts from scratch.

        - valid: validation playlists, for early stopping and model selection. Models that do not need them ignore them.
        - systems: other fitted models that this one uses, for `TwoStage` and models with a `cold_system`.
        - workdir: folder for checkpoints. A long fit that was killed resumes from there.
        - progress: called with the amount done, the total and what is counted; default: lines in a terminal or notebook.
        - draws_as: name of another model whose random numbers this one shares.

        Raises `InputError` if the playlists or the content are not sufficient.

        Example:
            >>> import segue
            >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200)
            >>> split = data.split()
            >>> segue.ItemKNN(shrink=10.0).fit(split.train)
            <segue.ItemKNN 'item-knn', fitted>
        """
        from toolkit.packages import check_installed
        from toolkit.ranker import TrainingData

        check_parts(train, valid)
        ranker, corpus = self.make(train), train.data.corpus
        check_installed(repr(self.name), ranker.requires)
        others = systems if isinstance(systems, Mapping) else {model.name: model for model in systems}
        data = TrainingData(
            train.playlists,
            None if valid is None else valid.playlists,
            {modality.name: modality.on(corpus) for modality in self.modalities},
            None if workdir is None else Path(workdir),
            derived_seed(self.seed, "system", draws_as or self.name),
            self.device,
            factors=train.factors(self.seed, self.device),
            labels=train.labels(ranker.capabilities.labels),
            systems={name: other.ranker for name, other in others.items()},
            progress=progress or self._lines(),
        )
        self._ranker, self._tracks, self._train = ranker.fit(data), corpus.tracks, train
        return self

    def _parts(self) -> list[type]:
        """The classes without which the model cannot be loaded."""
        return [type(self.ranker)]

    def _lines(self) -> Progress:
        reporter = interactive()
        return lambda done, total, what: reporter(done, total, f"{self.name}, {what}")

    def continue_playlist(
        self,
        tracks: Sequence[str],
        k: int = 20,
        *,
        title: str | None = None,
        exclude: Iterable[str] = (),
        allow_repeats: bool = False,
    ) -> pd.DataFrame:
        """Return the k tracks that come next, best first: id, title, artist, score.

        If the model cannot rank k tracks, it returns fewer, with a warning.

        - tracks: outside ids in playlist order; unknown ids are left out with a warning.
        - title: title of the playlist, for models that read titles.
        - exclude: ids that are never returned.
        - allow_repeats: whether tracks of the playlist may be returned.

        Raises `InputError` if none of the tracks is known.

        Example:
            >>> import segue
            >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200)
            >>> model = segue.Popularity().fit(data.split().train)
            >>> model.continue_playlist(["demo:track:1"], k=3).shape
            (3, 4)
        """
        import pandas as pd

        asked, known = self._continuation(), length_of(k)
        found = asked.continue_playlist(
            list_of(tracks), title, known, exclude=list_of(exclude), allow_repeats=allow_repeats
        )
        return pd.DataFrame(
            [(one.id, one.title, one.artist, one.score) for one in found], columns=["id", "title", "artist", "score"]
        )

    def rank(
        self, playlists: Sequence[Sequence[str]], k: int = 20, *, titles: Sequence[str | None] | None = None
    ) -> pd.DataFrame:
        """Rank tracks for many playlists at once: playlist (its index, from 0), rank (from 1), id, score of the k best tracks.

        This is much faster than `continue_playlist` in a loop. A playlist without a known track has no rows; a warning counts them.
        """
        import pandas as pd

        from toolkit.corpus.queries import Queries

        if not isinstance(playlists, Sequence) or isinstance(playlists, str):
            raise InputError(
                f"rank takes a list of lists of track ids, such as [['local:t1', 'local:t2']], not {type(playlists).__name__}"
            )
        asked = self._continuation()
        item_of = asked.item_of
        named = [[asked.outside_id(track) for track in list_of(each)] for each in playlists]
        seeds = [[item_of[track] for track in each if track in item_of] for each in named]
        if titles is not None and len(titles) != len(seeds):
            raise InputError(f"{len(titles)} titles for {len(seeds)} playlists: give one a playlist, or None")
        if empty := [place for place, each in enumerate(seeds) if not each and not (titles and titles[place])]:
            warnings.warn(
                f"{len(empty):,} of {len(seeds):,} playlists have no track of the catalogue, such as the one at {empty[0]}",
                stacklevel=2,
            )
        ids, scores = self.ranker.rank(Queries.of(seeds, titles), min(length_of(k), self.ranker.n_items))
        rows, ranks = np.nonzero(ids)
        names = self.tracks["id"].to_numpy()[ids[rows, ranks] - 1]
        return pd.DataFrame({"playlist": rows, "rank": ranks + 1, "id": names, "score": scores[rows, ranks]})

    def item_vectors(self) -> Modality | None:
        """The vectors by which the model compares tracks, as a modality. None if it has no such vectors."""
        items = np.arange(1, self.ranker.n_items + 1)
        found = self.ranker.item_vectors(items)
        return None if found is None else self._modality(self.name, found)

    def modality_vectors(self) -> dict[str, Modality]:
        """The vectors of each modality as the model uses them: reduced, normalised, and filled in if missing."""
        found = self.ranker.modality_vectors(np.arange(1, self.ranker.n_items + 1))
        return {name: self._modality(name, rows) for name, rows in found.items()}

    def _modality(self, name: str, rows: np.ndarray) -> Modality:
        return Modality(name, self.tracks["id"].to_pylist(), rows, np.isfinite(rows).all(axis=1))

    def export(self, directory: str | Path, format: Literal["parquet", "safetensors", "npz"] = "parquet") -> list[Path]:
        """Write `items` (the vectors by which the model compares tracks) and one file per modality. Returns the paths.

        A Parquet file has ids, titles and artists next to the vectors. The encoder `vectors` reads all three formats.
        Raises `InputError` for a model without vectors.
        """
        fused, folder = self.item_vectors(), Path(directory)
        if fused is None:
            raise InputError(
                f"{self.name} has no vectors of tracks: choose a system that has them, such as a sequential model"
            )
        folder.mkdir(parents=True, exist_ok=True)
        parts = {"items": fused, **{f"modality-{name}": found for name, found in self.modality_vectors().items()}}
        for name, found in parts.items():
            found.save(folder / f"{name}.{format}", self.tracks)
        return [folder / f"{name}.{format}" for name in parts]

    def save(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write weights, settings and the names of the tracks. `segue.load` and `segue continue` read the folder. No pickle is used.

        - overwrite: whether to replace a model that was saved there before.

        Raises `InputError` for a folder that holds a run or anything else.
        """
        import pyarrow.feather as feather

        from toolkit import run_directory
        from toolkit.files import folder, write_json

        target, ranker = Path(directory), self.ranker
        check_target(target, overwrite=overwrite)
        if any(part.__module__ == "__main__" for part in self._parts()):
            warnings.warn(
                f"{self.name} uses a class of this notebook or script: only it can load the model again", stacklevel=2
            )
        with folder(target) as unfinished:
            (unfinished / run_directory.MODEL).mkdir()
            ranker.save(unfinished / run_directory.MODEL / self.name)
            feather.write_feather(self.tracks, unfinished / run_directory.TRACKS, compression="zstd")
            entry = {
                "system": self.name,
                "ranker": entry_name(ranker),
                "modalities": [each.name for each in self.modalities],
            }
            write_json(
                unfinished / run_directory.SYSTEMS, {"systems": [{**entry, "oracle": ranker.capabilities.oracle}]}
            )

    def _continuation(self) -> Continuation:
        return Continuation(self.ranker, self.tracks, system=self.name)
