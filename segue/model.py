"""Models rank the tracks of a catalogue as the next tracks of a playlist."""

from __future__ import annotations

import re
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, cast

import numpy as np

from segue.data import HeldOutPlaylists, Training
from segue.modalities import Modality
from toolkit import plugins
from toolkit.continuation import Continuation
from toolkit.errors import InputError, LeakError, SegueError
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

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]*")
"""Models name folders."""


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
        self.name, self.modalities, self.seed, self.device = name, _modalities(modalities), _seed(seed), device
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
        from toolkit.ranker import TrainingData

        _check_parts(train, valid)
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
        self._ranker, self._tracks, self._train = ranker.fit(data), corpus.tracks, train
        return self

    def _lines(self) -> Progress:
        reporter = interactive()
        return lambda done, total, what: reporter(done, total, f"{self.name}, {what}")

    def continue_playlist(
        self, tracks: Sequence[str], k: int = 20, *, title: str | None = None, exclude: Iterable[str] = (), allow_repeats: bool = False
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

        asked, known = self._continuation(), _length(k)
        seeds, banned = ([_id(track, asked.item_of) for track in _list(each)] for each in (tracks, exclude))
        found = asked.continue_playlist(seeds, title, known, exclude=banned, allow_repeats=allow_repeats)
        return pd.DataFrame([(one.id, one.title, one.artist, one.score) for one in found], columns=["id", "title", "artist", "score"])

    def rank(self, playlists: Sequence[Sequence[str]], k: int = 20, *, titles: Sequence[str | None] | None = None) -> pd.DataFrame:
        """Rank tracks for many playlists at once: playlist (its index, from 0), rank (from 1), id, score of the k best tracks.

        This is much faster than `continue_playlist` in a loop. A playlist without a known track has no rows; a warning counts them.
        """
        import pandas as pd

        from toolkit.corpus.queries import Queries

        item_of = self._continuation().item_of
        named = [[_id(track, item_of) for track in _list(each)] for each in _list(playlists)]
        seeds = [[item_of[track] for track in each if track in item_of] for each in named]
        if titles is not None and len(titles) != len(seeds):
            raise InputError(f"{len(titles)} titles for {len(seeds)} playlists: give one a playlist, or None")
        if empty := [place for place, each in enumerate(seeds) if not each and not (titles and titles[place])]:
            warnings.warn(
                f"{len(empty):,} of {len(seeds):,} playlists have no track of the catalogue, such as the one at {empty[0]}", stacklevel=2
            )
        ids, scores = self.ranker.rank(Queries.of(seeds, titles), min(_length(k), self.ranker.n_items))
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
            raise InputError(f"{self.name} has no vectors of tracks: export a sequential model, or one that ranks by factors")
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

        from toolkit import runs
        from toolkit.files import folder, write_json

        target, ranker = Path(directory), self.ranker
        _check_target(target, overwrite=overwrite)
        if _of_main(self):
            warnings.warn(f"{self.name} uses a class of this notebook or script: only it can load the model again", stacklevel=2)
        with folder(target) as unfinished:
            (unfinished / runs.MODEL).mkdir()
            ranker.save(unfinished / runs.MODEL / self.name)
            feather.write_feather(self.tracks, unfinished / runs.TRACKS, compression="zstd")
            entry = {"system": self.name, "ranker": entry_name(ranker), "modalities": [each.name for each in self.modalities]}
            write_json(unfinished / runs.SYSTEMS, {"systems": [{**entry, "oracle": ranker.capabilities.oracle}]})

    def _continuation(self) -> Continuation:
        return Continuation(self.ranker, self.tracks, system=self.name)


class RankerModel(Model):
    """A model that wraps a ranker of the group `segue.rankers`, or a class of your own.

    - ranker: name, `module:Class` or class.
    - params: parameters of the ranker.
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
    - join, missing, reduce …: how modalities are combined: the keys of a recipe's `fusion`.
    - title_encoder: encoder of playlist titles, or its name, if the model should read titles.
    - params: the keys of an entry of a recipe's `models`.
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

        if "type" in params:
            raise InputError(f"type is not a parameter here: the class is {architecture}; segue.ranker(name) makes others")
        names = [modality.name for modality in _modalities(modalities)]
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
        """Create the model of an entry of a recipe's `models`."""
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
    """Create a model from the name or class of a ranker or architecture, also one of your own.

    - which: a name of `segue list rankers` or `segue list models`, `module:Class`, or a class.
    - params: its parameters. An architecture also has those of `segue.SASRec`, such as `loss`, `join` and `epochs`.

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
    """Whether `which` is an architecture rather than a ranker. Raises `InputError` if it is neither."""
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
    """Load a model from a finished run, or from a folder that `Model.save` wrote.

    - directory: the folder.
    - system: name of a system of the run; default: the best on validation.

    Raises `RunDirectoryError` for any other folder, and `InputError` for a system that the run does not have.

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
    """A loaded model. You can query, evaluate and save it, but not fit it again."""

    def __init__(self, name: str, ranker: Ranker, tracks: pa.Table, others: Sequence[str] = ()) -> None:
        super().__init__(name=name)
        self._ranker, self._tracks, self.others = ranker, tracks, tuple(others)

    def make(self, train: Training) -> Ranker:
        raise InputError(f"{self.name} was loaded: make a new model to fit one")


def _checked(make: Callable[[], T], name: str, values: Mapping[str, object]) -> T:
    """Call `make`, which validates `values`. A pydantic error becomes an `InputError` of one line."""
    from pydantic import ValidationError

    from toolkit.validation import explain

    try:
        return make()
    except ValidationError as error:
        where, rule = explain(error, values)
        raise InputError(f"{name}: {'.'.join(map(str, where))}{rule}".replace(": :", ":")) from None


def _seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise InputError(f"seed={seed!r} must be a whole number from 0")
    return int(seed)


def _length(k: int) -> int:
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise InputError(f"k={k!r} must be a whole number from 1")
    return int(k)


def _list(values: Iterable[T]) -> list[T]:
    """Values one after the other. Raises `InputError` for a text, which Python would take apart into letters."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InputError(f"{values!r} must be a list of track ids, such as [{values!r}]")
    return list(values)


def _id(track: object, item_of: Mapping[str, int]) -> str:
    """An outside id; `a` also stands for `local:a`, and 7 for `local:7`."""
    text = str(track)
    return text if text in item_of or f"local:{text}" not in item_of else f"local:{text}"


def _modalities(given: Sequence[Modality]) -> list[Modality]:
    """Modalities, each under its own name. Raises `InputError`."""
    found = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    for each in found:
        if not isinstance(each, Modality):
            raise InputError(f"modalities={given!r} must be a list of what segue.encode and segue.vectors return")
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two modalities are called {twice!r}: give each a name of its own, segue.encode(…, name=…)")
    return found


def _check_parts(train: object, valid: object) -> None:
    """Raise `InputError` for what is not part of a split or of another catalogue, `LeakError` for a choice on the test."""
    from toolkit.evaluation import leaks

    if not isinstance(train, Training):
        raise InputError(f"fit takes split.train, not {type(train).__name__}: split = data.split(); model.fit(split.train, split.valid)")
    if valid is None:
        return
    if not isinstance(valid, HeldOutPlaylists):
        raise InputError(f"valid must be split.valid, not {type(valid).__name__}")
    if valid.part == "test":
        raise LeakError("valid=split.test would choose on the test: pass split.valid")
    check_same_data(train, valid)
    if valid.train is not train and valid.playlists.hides is None:
        leaks.check_hidden(train.playlists, valid.playlists)


def check_same_data(train: Training, held: HeldOutPlaylists) -> None:
    """Raise `InputError` where two parts are not of the same playlists."""
    ours, theirs = train.data.corpus, held.data.corpus
    if ours is not theirs and ours.digest() != theirs.digest():
        raise InputError("the parts are of different playlists: take them from one split, or from splits of the same data")


def _check_target(target: Path, *, overwrite: bool) -> None:
    from toolkit import runs

    if not target.exists():
        return
    saved = target.is_dir() and (target / runs.SYSTEMS).exists() and not (target / runs.RECIPE).exists()
    if not saved and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target} holds something other than a saved model: choose another folder")
    if saved and not overwrite:
        raise InputError(f"{target} holds a saved model: choose another folder, or pass overwrite=True")


def _of_main(model: Model) -> bool:
    """Whether a class of the running script is needed to load the model."""
    parts: list[type] = [type(model.ranker)]
    if isinstance(model, SequentialModel):
        parts += [type(model.spec), type(model.spec.loss), type(model.fusion.join), type(model.fusion.missing)]
    return any(part.__module__ == "__main__" for part in parts)
