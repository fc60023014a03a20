"""Models: everything that ranks a catalogue as the next tracks of a playlist."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, cast

import numpy as np

from segue.data import HeldOutPlaylists, Training
from segue.modalities import Modality
from toolkit import plugins
from toolkit.continuation import Continuation
from toolkit.errors import InputError, SegueError
from toolkit.progress import interactive
from toolkit.rankers import entry_name
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from toolkit.encoders.base import Encoder
    from toolkit.progress import Progress
    from toolkit.ranker import Ranker
    from toolkit.recipe import Fusion, ModelSpec

GROUP, MODELS = "segue.rankers", "segue.models"

T = TypeVar("T")


class Model:
    """A system that ranks tracks as the next ones of a playlist: fitted, evaluated, asked and saved in one way.

    `segue.SASRec`, `segue.EASE` and the other classes of `segue list rankers` and `segue list models` are its subclasses;
    `segue.ranker` makes one of any name or class.

    - name: its row in tables.
    - seed: of what it draws at random. device: `auto`, `cpu` or `cuda`.
    - modalities: content that it uses.
    """

    kind: ClassVar[str] = ""
    """The name of the part that a subclass is made of; set where classes are generated."""

    def __init__(self, *, name: str, modalities: Sequence[Modality] = (), seed: int = 0, device: str = "auto") -> None:
        self.name, self.modalities, self.seed, self.device = name, list(modalities), seed, device
        self._ranker: Ranker | None = None
        self._tracks: pa.Table | None = None

    @abstractmethod
    def make(self, train: Training) -> Ranker:
        """A new ranker, not fitted yet."""

    def __repr__(self) -> str:
        return f"<segue.{type(self).__name__} {self.name!r}, {'fitted' if self._ranker is not None else 'not fitted'}>"

    @property
    def ranker(self) -> Ranker:
        """The fitted ranker, which speaks in item numbers. Raises `SegueError` before `fit`."""
        if self._ranker is None:
            raise SegueError(f"{self.name} is not fitted: call fit(split.train, valid=split.valid) first")
        return self._ranker

    @property
    def tracks(self) -> pa.Table:
        """The catalogue that it ranks: id, title, artist, album; row i is item i + 1."""
        assert self._tracks is not None, "a fitted model has its tracks"
        return self._tracks

    @property
    def curve(self) -> pd.DataFrame:
        """One row an epoch: epoch, loss, seconds and validation metrics; empty for models without epochs."""
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
        """Learn from training playlists; a second fit starts anew.

        - valid: for early stopping and choices; models that need none ignore it.
        - systems: fitted models that this one ranks with, for `TwoStage` and models with a `cold_system`.
        - workdir: where a long fit keeps checkpoints, so that a killed one resumes.
        - progress: called with what is done, of how much, and of what; default: lines in a terminal or notebook.
        - draws_as: name of another model whose random draws it shares.

        Raises `InputError` where the playlists, or the content, are not enough.

        Example:
            >>> import segue
            >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200)
            >>> split = data.split()
            >>> segue.ItemKNN(shrink=10.0).fit(split.train)
            <segue.ItemKNN 'item-knn', fitted>
        """
        from toolkit.ranker import TrainingData

        ranker, corpus = self.make(train), train.data.corpus
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
        self._ranker, self._tracks = ranker.fit(data), corpus.tracks
        return self

    def _lines(self) -> Progress:
        reporter = interactive()
        return lambda done, total, what: reporter(done, total, f"{self.name}, {what}")

    def continue_playlist(
        self, tracks: Sequence[str], k: int = 20, *, title: str | None = None, exclude: Iterable[str] = (), allow_repeats: bool = False
    ) -> pd.DataFrame:
        """The k tracks that come next, best first: id, title, artist, score. Fewer, with a warning, where it can rank no more.

        - tracks: outside ids in playlist order; unknown ones are left out with a warning.
        - title: the playlist's, for models that read titles. exclude: ids that are never named.

        Raises `InputError` where no track is known.

        Example:
            >>> import segue
            >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200)
            >>> model = segue.Popularity().fit(data.split().train)
            >>> model.continue_playlist(["demo:track:1"], k=3).shape
            (3, 4)
        """
        import pandas as pd

        found = self._continuation().continue_playlist(tracks, title, k, exclude=exclude, allow_repeats=allow_repeats)
        return pd.DataFrame([(one.id, one.title, one.artist, one.score) for one in found], columns=["id", "title", "artist", "score"])

    def rank(self, playlists: Sequence[Sequence[str]], k: int = 20, *, titles: Sequence[str | None] | None = None) -> pd.DataFrame:
        """The k best tracks of many playlists at once: playlist (its place), rank (from 1), id, score."""
        import pandas as pd

        from toolkit.corpus.queries import Queries

        item_of = self._continuation().item_of
        seeds = [[item_of[track] for track in each if track in item_of] for each in playlists]
        ids, scores = self.ranker.rank(Queries.of(seeds, titles), min(k, self.ranker.n_items))
        rows, ranks = np.nonzero(ids)
        names = self.tracks["id"].to_numpy()[ids[rows, ranks] - 1]
        return pd.DataFrame({"playlist": rows, "rank": ranks + 1, "id": names, "score": scores[rows, ranks]})

    def item_vectors(self) -> Modality | None:
        """The vectors by which it compares tracks, as a modality; None for a model that has none."""
        items = np.arange(1, self.ranker.n_items + 1)
        found = self.ranker.item_vectors(items)
        return None if found is None else self._modality(self.name, found)

    def modality_vectors(self) -> dict[str, Modality]:
        """The vectors of each modality as the model uses them: reduced, normalised, filled in where missing."""
        found = self.ranker.modality_vectors(np.arange(1, self.ranker.n_items + 1))
        return {name: self._modality(name, rows) for name, rows in found.items()}

    def _modality(self, name: str, rows: np.ndarray) -> Modality:
        return Modality(name, self.tracks["id"].to_pylist(), rows, np.isfinite(rows).all(axis=1))

    def export(self, directory: str | Path, format: Literal["parquet", "safetensors", "npz"] = "parquet") -> list[Path]:
        """Write `items` (the vectors by which it compares tracks) and a file for each modality; returns the files.

        A Parquet file has ids, titles and artists beside the vectors; the encoder `vectors` reads all three formats.
        Raises `InputError` for a model without vectors.
        """
        fused, folder = self.item_vectors(), Path(directory)
        if fused is None:
            raise InputError(f"{self.name} has no vectors of tracks: export a sequential model, or one that ranks by factors")
        folder.mkdir(parents=True, exist_ok=True)
        parts = {"items": fused, **{f"modality-{name}": found for name, found in self.modality_vectors().items()}}
        for name, found in parts.items():
            found.save(folder / f"{name}.{format}", self.tracks)
        return [folder / f"{name}.{format}" for name in parts]

    def save(self, directory: str | Path) -> None:
        """Write weights, settings and the catalogue's names, enough for `segue.load` and `segue continue`; no pickle."""
        import pyarrow.feather as feather

        from toolkit import runs
        from toolkit.files import folder, write_json

        with folder(Path(directory)) as unfinished:
            (unfinished / runs.MODEL).mkdir()
            self.ranker.save(unfinished / runs.MODEL / self.name)
            feather.write_feather(self.tracks, unfinished / runs.TRACKS, compression="zstd")
            entry = {"system": self.name, "ranker": entry_name(self.ranker), "modalities": [each.name for each in self.modalities]}
            write_json(unfinished / runs.SYSTEMS, {"systems": [{**entry, "oracle": self.ranker.capabilities.oracle}]})

    def _continuation(self) -> Continuation:
        return Continuation(self.ranker, self.tracks, system=self.name)


class RankerModel(Model):
    """A ranker of the group `segue.rankers`, or a class of one's own.

    - ranker: name, `module:Class` or class. params: its parameters.
    """

    def __init__(
        self,
        ranker: str | type[Ranker],
        *,
        name: str | None = None,
        modalities: Sequence[Modality] = (),
        seed: int = 0,
        device: str = "auto",
        **params: object,
    ) -> None:
        self.cls: type[Ranker] = plugins.load(GROUP, ranker) if isinstance(ranker, str) else ranker
        super().__init__(name=name or self.cls.name, modalities=modalities, seed=seed, device=device)
        content = self.cls.capabilities.content
        if content == "required" and not self.modalities:
            raise InputError(f"{self.name} ranks by content: pass modalities=[segue.encode(…)]")
        if content == "none" and self.modalities:
            raise InputError(f"{self.name} does not use content: leave modalities out")
        self.params = params
        self.cls(**params)  # wrong parameters are refused here, not at the end of an hour

    def make(self, train: Training) -> Ranker:
        return self.cls(**self.params)


class SequentialModel(Model):
    """A sequential model of the group `segue.models`, over ids, content or both.

    - architecture: name or `module:Class`.
    - join, missing, reduce …: how modalities are fused, the keys of a recipe's `fusion`.
    - title_encoder: encoder of playlist titles, by name, where the model should read them.
    - params: keys of an entry of a recipe's `models`.
    """

    def __init__(
        self,
        architecture: str,
        *,
        name: str | None = None,
        modalities: Sequence[Modality] = (),
        seed: int = 0,
        device: str = "auto",
        title_encoder: str | Encoder | None = None,
        **params: object,
    ) -> None:
        from toolkit.parts import Chosen
        from toolkit.recipe import Fusion

        names = [modality.name for modality in modalities]
        default = name or f"{architecture.rpartition(':')[2].lower()}-{'multimodal' if names else 'ids'}"
        fused = {key: params.pop(key) for key in list(params) if key in Fusion.model_fields and key != "modalities"}
        self.fusion = _checked(lambda: Fusion.model_validate(fused), default, fused)
        given = {"type": architecture, **params, **({"titles": True} if title_encoder is not None else {})}
        self.spec: ModelSpec = _checked(lambda: Chosen(MODELS, short=False).part(given), default, given)
        super().__init__(name=default, modalities=modalities, seed=seed, device=device)
        self.title_encoder = title_encoder

    @classmethod
    def of(
        cls,
        spec: ModelSpec,
        fusion: Fusion,
        *,
        name: str,
        modalities: Sequence[Modality],
        seed: int,
        device: str,
        title_encoder: Encoder | None,
    ) -> Self:
        """The model of a recipe's entry."""
        made = cls.__new__(cls)
        Model.__init__(made, name=name, modalities=modalities, seed=seed, device=device)
        made.spec, made.fusion, made.title_encoder = spec, fusion, title_encoder
        return made

    def make(self, train: Training) -> Ranker:
        from toolkit.encoders import registry
        from toolkit.sequential.advised import AdvisedRanker
        from toolkit.sequential.ranker import SequentialRanker

        titles = self.title_encoder
        if isinstance(titles, str):
            titles = registry.create(titles, {}, seed=derived_seed(self.seed, "titles"), device=self.device)
        if titles is not None and titles.learns:
            titles.fit(sorted({title for title in train.playlists.titles() if title}))
        kind = SequentialRanker if self.spec.cold_system is None else AdvisedRanker
        return kind(self.spec, self.fusion, name=self.name, titles=titles)


def ranker(
    which: str | type[Ranker] | type[ModelSpec],
    *,
    name: str | None = None,
    modalities: Sequence[Modality] = (),
    seed: int = 0,
    device: str = "auto",
    **params: object,
) -> Model:
    """A model of any ranker or architecture, and of one of your own.

    - which: a name of `segue list rankers` or `segue list models`, `module:Class`, or a class.
    - params: its parameters; of an architecture those of `segue.SASRec` too, such as `loss`, `join` and `epochs`.

    The other parameters are those of `Model`. Raises `InputError` for an unknown name and for wrong parameters.

    Example:
        >>> import segue
        >>> segue.ranker("item-knn", shrink=10.0)
        <segue.RankerModel 'item-knn', not fitted>
        >>> segue.ranker("gru4rec", epochs=2)
        <segue.SequentialModel 'gru4rec-ids', not fitted>
    """
    shared: dict[str, Any] = {"name": name, "modalities": modalities, "seed": seed, "device": device, **params}
    if _is_model(which):
        return SequentialModel(which if isinstance(which, str) else f"{which.__module__}:{which.__qualname__}", **shared)
    return RankerModel(cast("str | type[Ranker]", which), **shared)


def _is_model(which: str | type) -> bool:
    """Whether it is an architecture rather than a ranker. Raises `InputError` where it is neither."""
    if isinstance(which, str) and ":" not in which:
        known = [*plugins.names(GROUP), *plugins.names(MODELS)]
        if which not in known:
            raise InputError(f"{which!r} is neither a ranker nor a model: {plugins.suggest(which, known)}")
        return which in plugins.names(MODELS)
    cls = plugins.imported(which) if isinstance(which, str) else which
    if not (isinstance(cls, type) and issubclass(cls, (plugins.contract(GROUP), plugins.contract(MODELS)))):
        raise InputError(f"{which!r} is neither a subclass of segue.plugin.Ranker nor of segue.plugin.ModelSpec")
    return issubclass(cls, plugins.contract(MODELS))


def load(directory: str | Path, system: str | None = None) -> Model:
    """A model from a finished run or from `Model.save`.

    - system: which of a run's systems; default: the best on validation.

    Raises `RunDirectoryError` for a folder that is neither, `InputError` for a system that it does not have.

    Example:
        >>> import segue
        >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200)
        >>> segue.Popularity().fit(data.split().train).save("popular")
        >>> segue.load("popular")
        <segue.Loaded 'popularity', fitted>
    """
    found = Continuation.load(Path(directory), system)
    return Loaded(found.system, found.ranker, found.tracks, found.others)


class Loaded(Model):
    """A model that was loaded: it can be asked, evaluated and saved again."""

    def __init__(self, name: str, ranker: Ranker, tracks: pa.Table, others: Sequence[str] = ()) -> None:
        super().__init__(name=name)
        self._ranker, self._tracks, self.others = ranker, tracks, tuple(others)

    def make(self, train: Training) -> Ranker:
        raise InputError(f"{self.name} was loaded: make a new model to fit one")


def _checked(make: Callable[[], T], name: str, values: Mapping[str, object]) -> T:
    """What `make` makes of `values`; pydantic's fault becomes an `InputError` of one line."""
    from pydantic import ValidationError

    from toolkit.validation import explain

    try:
        return make()
    except ValidationError as error:
        where, rule = explain(error, values)
        raise InputError(f"{name}: {'.'.join(map(str, where))}{rule}".replace(": :", ":")) from None
