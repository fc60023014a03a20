"""Base class of models, which rank the tracks of a catalogue as the next tracks of a playlist."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np

from segue.arguments import NAME, length_of, list_of, seed_of, seeds_of
from segue.modalities import Modality, modalities_of
from segue.model_files import write_model, write_vectors
from segue.split import HeldOutPlaylists, Training, check_parts
from toolkit.continuation import Continuation
from toolkit.contracts.learning import NotLearned, combined, message
from toolkit.errors import InputError, SegueError
from toolkit.progress import interactive
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from toolkit.progress import Progress
    from toolkit.ranker import Ranker


class Model:
    """Base class of all models, which rank the tracks of a catalogue as the next tracks of a playlist.

    All models are fitted, evaluated, queried and saved in the same way. `segue.EASE`, `segue.SASRec` and the other
    model classes are subclasses. `segue.ranker` creates a model from a name or class.

    - name: name of the model in tables.
    - modalities: content that the model uses.
    - seed: random seed.
    - device: `auto`, `cpu` or `cuda`.
    """

    kind: ClassVar[str] = ""
    """Entry-point name of the part that a generated subclass wraps."""

    def __init__(self, *, name: str, modalities: Sequence[Modality] = (), seed: int = 0, device: str = "auto") -> None:
        self.name, self.modalities, self.seed, self.device = name, modalities_of(modalities), seed_of(seed), device
        if not NAME.fullmatch(name):
            raise InputError(f"name={name!r} must consist of letters, digits, '.', '_', '~' and '-' to name a folder")
        self._ranker: Ranker | None = None
        self._tracks: pa.Table | None = None
        self._train: Training | None = None

    @abstractmethod
    def make(self, train: Training) -> Ranker:
        """Create a new ranker that is not yet fitted."""

    def __repr__(self) -> str:
        return f"<segue.{type(self).__name__} {self.name!r}, {'fitted' if self._ranker is not None else 'not fitted'}>"

    @property
    def ranker(self) -> Ranker:
        """The fitted ranker, which uses item numbers instead of ids. Raises `SegueError` before `fit`."""
        if self._ranker is None:
            raise SegueError(f"{self.name} must be fitted first: call fit(split.train, valid=split.valid)")
        return self._ranker

    @property
    def tracks(self) -> pa.Table:
        """The catalogue that the model ranks, with the columns id, title, artist and album. Row i is item i + 1."""
        assert self._tracks is not None, "a fitted model has its tracks"
        return self._tracks

    @property
    def train(self) -> Training | None:
        """The training playlists, or None for a loaded model."""
        return self._train

    @property
    def curve(self) -> pd.DataFrame:
        """One row per epoch with epoch, loss, seconds and validation metrics. Empty for models without epochs."""
        import pandas as pd

        return pd.DataFrame(self.ranker.curve)

    @property
    def collapsed(self) -> str:
        """Why the network of the model, or an encoder of its modalities, did not learn, in one line, or ""."""
        return combined(self.ranker.collapsed, {each.name: each.collapsed for each in self.modalities})

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
        - systems: other fitted models that this model uses, for `TwoStage` and models with a `cold_system`.
        - workdir: folder for checkpoints, from which an interrupted fit resumes.
        - progress: called with the amount done, the total and a description; default: lines in a terminal or notebook.
        - draws_as: name of another model with the same random numbers.

        Warns if the network of the model did not learn. Raises `InputError` if required playlists or content are
        missing.

        Example:
            >>> import segue
            >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200)
            >>> split = data.split()
            >>> segue.ItemKNN(shrink=10.0).fit(split.train)
            <segue.ItemKNN 'item-knn', fitted>
        """
        from toolkit.packages import check_installed
        from toolkit.ranker import TrainingData, checked

        check_parts(train, valid)
        ranker, corpus, reporter = self.make(train), train.data.corpus, interactive()
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
            progress=progress or (lambda done, total, what: reporter(done, total, f"{self.name}, {what}")),
        )
        self._ranker, self._tracks, self._train = ranker.fit(checked(ranker, data)), corpus.tracks, train
        if self._ranker.collapsed:
            warnings.warn(message(self.name, self._ranker.collapsed), NotLearned, stacklevel=2)
        return self

    def _parts(self) -> list[type]:
        """Return the classes without which the model cannot be loaded."""
        return [type(self.ranker)]

    def continue_playlist(
        self,
        tracks: Sequence[str],
        k: int = 20,
        *,
        title: str | None = None,
        exclude: Iterable[str] = (),
        allow_repeats: bool = False,
    ) -> pd.DataFrame:
        """Return the k next tracks, best first, with the columns id, title, artist and score.

        If the model cannot rank k tracks, fewer are returned with a warning.

        - tracks: external ids in playlist order; unknown ids are ignored with a warning.
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

        tracks, excluded, k = list_of(tracks), list_of(exclude), length_of(k)
        ranked = Continuation(self.ranker, self.tracks, system=self.name).continue_playlist(
            tracks, title, k, exclude=excluded, allow_repeats=allow_repeats, stacklevel=3
        )
        rows = [(track.id, track.title, track.artist, track.score) for track in ranked]
        return pd.DataFrame(rows, columns=["id", "title", "artist", "score"])

    def rank(
        self, playlists: Sequence[Sequence[str]], k: int = 20, *, titles: Sequence[str | None] | None = None
    ) -> pd.DataFrame:
        """Return the k best tracks of many playlists with the columns playlist and rank (from 1), id and score.

        `playlist` is the index in `playlists`. The method is much faster than `continue_playlist` in a loop. A playlist
        without known tracks has no rows, unless the model reads titles. A warning counts such playlists.
        """
        import pandas as pd

        from toolkit.corpus.queries import Queries

        seeds = seeds_of(Continuation(self.ranker, self.tracks, system=self.name), playlists, titles)
        _warn_of_unknown(seeds, titles)
        ids, scores = self.ranker.rank(Queries.of(seeds, titles), min(length_of(k), self.ranker.n_items))
        rows, ranks = np.nonzero(ids)
        names = self.tracks["id"].to_numpy()[ids[rows, ranks] - 1]
        return pd.DataFrame({"playlist": rows, "rank": ranks + 1, "id": names, "score": scores[rows, ranks]})

    def item_vectors(self) -> Modality | None:
        """Return the vectors by which the model compares tracks as a modality, or None if there are none."""
        rows = self.ranker.item_vectors(np.arange(1, self.ranker.n_items + 1))
        return None if rows is None else _modality(self.name, self.tracks, rows)

    def modality_vectors(self) -> dict[str, Modality]:
        """Return the vectors of each modality as the model uses them: reduced, normalised and imputed."""
        vectors = self.ranker.modality_vectors(np.arange(1, self.ranker.n_items + 1))
        return {name: _modality(name, self.tracks, rows) for name, rows in vectors.items()}

    def export(self, directory: str | Path, format: Literal["parquet", "safetensors", "npz"] = "parquet") -> list[Path]:
        """Write item vectors to `items` and the vectors of each modality to a file. Returns the paths.

        A Parquet file has ids, titles and artists next to the vectors. The encoder `vectors` reads all three formats.
        Raises `InputError` for a model without vectors.
        """
        return write_vectors(self, Path(directory), format)

    def save(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write weights, settings and track names without pickle.

        `segue.load` and `segue continue` read the folder.

        - overwrite: whether to replace a model that was saved in the same folder.

        Raises `InputError` for a folder with a run or with other files.
        """
        write_model(self, Path(directory), overwrite=overwrite)
        _warn_of_script(self.name, self._parts())


def _warn_of_unknown(seeds: Sequence[Sequence[int]], titles: Sequence[str | None] | None) -> None:
    """Warn if playlists have neither a track of the catalogue nor a title."""
    if empty := [row for row, items in enumerate(seeds) if not items and not (titles and titles[row])]:
        count = f"{len(empty):,} of {len(seeds):,} playlists"
        warnings.warn(
            f"{count} have no tracks of the catalogue, such as playlists[{empty[0]}]: pass known ids", stacklevel=3
        )


def _warn_of_script(name: str, parts: Sequence[type]) -> None:
    """Warn if a class that a saved model needs is in no module."""
    if any(part.__module__ == "__main__" for part in parts):
        warnings.warn(
            f"{name} uses a class of a notebook or script: move the class to a module to load it elsewhere",
            stacklevel=3,
        )


def _modality(name: str, tracks: pa.Table, rows: np.ndarray) -> Modality:
    return Modality(name, tracks["id"].to_pylist(), rows, np.isfinite(rows).all(axis=1))
