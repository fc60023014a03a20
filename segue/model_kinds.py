"""Model classes for rankers, for sequential models and for loaded models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from segue.modalities import Modality, modalities_of
from segue.model import Model
from segue.split import Training
from toolkit import plugins
from toolkit.continuation import Continuation
from toolkit.errors import InputError
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    import pyarrow as pa

    from toolkit.encoders.contract.encoder import Encoder
    from toolkit.ranker import Ranker
    from toolkit.recipe import Fusion, ModelSpec

GROUP, MODELS = "segue.rankers", "segue.models"

T = TypeVar("T")


class RankerModel(Model):
    """Model for a ranker of the group `segue.rankers` or for your own ranker class.

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
            raise InputError(f"{self.name} requires content: pass modalities=[segue.encode(…)]")
        if content == "none" and self.modalities:
            raise InputError(f"{self.name} does not use content: remove modalities=")
        self.params = params
        self.cls(**params)  # wrong parameters are refused here, not at the end of an hour

    def make(self, train: Training) -> Ranker:
        return self.cls(**self.params)


class SequentialModel(Model):
    """Sequential model of the group `segue.models` over ids, content or both.

    - architecture: name or `module:Class`.
    - join, missing, reduce …: keys of a recipe's `fusion`, which determine how modalities are combined.
    - title_encoder: encoder of playlist titles or its name, for a model that reads titles.
    - params: keys of an entry in a recipe's `models`.
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
            raise InputError(
                f"type={params['type']!r} cannot be set for the class {architecture}: use segue.ranker(name)"
            )
        names = [modality.name for modality in modalities_of(modalities)]
        default = name or f"{architecture.rpartition(':')[2].lower()}-{'multimodal' if names else 'ids'}"
        fused = {key: params.pop(key) for key in list(params) if key in Fusion.model_fields and key != "modalities"}
        self.fusion = _checked(lambda: Fusion.model_validate(fused), default, fused)
        values = {"type": architecture, **params, **({"titles": True} if title_encoder is not None else {})}
        self.spec: ModelSpec = _checked(lambda: Chosen(MODELS, short=False).part(values), default, values)
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
        """Create the model for an entry in a recipe's `models`."""
        model = cls.__new__(cls)
        Model.__init__(model, name=name, modalities=modalities, seed=seed, device=device)
        model.spec, model.fusion, model.title_encoder = spec, fusion, title_encoder
        return model

    def _parts(self) -> list[type]:
        return [
            *super()._parts(),
            type(self.spec),
            type(self.spec.loss),
            type(self.fusion.join),
            type(self.fusion.missing),
        ]

    def make(self, train: Training) -> Ranker:
        from toolkit.encoders.contract import registry
        from toolkit.packages import check_installed
        from toolkit.sequential.hybrid import AdvisedRanker
        from toolkit.sequential.sequential_ranker import SequentialRanker

        titles = self.title_encoder
        if isinstance(titles, str):
            titles = registry.create(titles, {}, seed=derived_seed(self.seed, "titles"), device=self.device)
        if titles is not None:
            check_installed(f"title_encoder {titles.name!r}", titles.requires)
        if titles is not None and titles.needs_fit:
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
    """Create a model from the name or class of a ranker or architecture, including your own classes.

    - which: a name listed by `segue list rankers` or `segue list models`, `module:Class`, or a class.
    - params: parameters of the class. An architecture also accepts the parameters of `segue.SASRec`, such as `loss`,
      `join` and `epochs`.

    The other parameters are those of `Model`. Raises `InputError` for an unknown name and for wrong parameters.

    Example:
        >>> import segue
        >>> segue.ranker("item-knn", shrink=10.0)
        <segue.RankerModel 'item-knn', not fitted>
        >>> segue.ranker("gru4rec", epochs=2)
        <segue.SequentialModel 'gru4rec-ids', not fitted>
    """
    part: str | type = which
    make: Callable[..., Model] = RankerModel
    if _is_model(which):
        make, part = SequentialModel, which if isinstance(which, str) else f"{which.__module__}:{which.__qualname__}"
    return make(part, name=name, modalities=modalities, seed=seed, device=device, **params)


def _is_model(which: str | type) -> bool:
    """Return whether `which` is an architecture rather than a ranker. Raises `InputError` for other values."""
    if isinstance(which, str) and ":" not in which:
        known = [*plugins.names(GROUP), *plugins.names(MODELS)]
        if which not in known:
            raise InputError(f"{which!r} is neither a ranker nor a model: {plugins.suggest(which, known)}")
        return which in plugins.names(MODELS)
    cls = plugins.imported(which) if isinstance(which, str) else which
    if not (isinstance(cls, type) and issubclass(cls, (plugins.contract(GROUP), plugins.contract(MODELS)))):
        raise InputError(f"{which!r} must be a subclass of segue.plugin.Ranker or of segue.plugin.ModelSpec")
    return issubclass(cls, plugins.contract(MODELS))


def load(directory: str | Path, system: str | None = None) -> Model:
    """Load a model from a finished run or from a folder written by `Model.save`.

    - directory: the folder.
    - system: name of a system of the run; default: the best on validation.

    Raises `RunDirectoryError` for other folders, and `InputError` for an unknown system.

    Example:
        >>> import segue
        >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200)
        >>> segue.Popularity().fit(data.split().train).save("popular")
        >>> segue.load("popular")
        <segue.Loaded 'popularity', fitted>
    """
    saved = Continuation.load(Path(directory), system)
    return Loaded(saved.system, saved.ranker, saved.tracks, saved.others)


class Loaded(Model):
    """Loaded model, which can be queried, evaluated and saved but not fitted again."""

    def __init__(self, name: str, ranker: Ranker, tracks: pa.Table, others: Sequence[str] = ()) -> None:
        super().__init__(name=name)
        self._ranker, self._tracks, self.others = ranker, tracks, tuple(others)

    def make(self, train: Training) -> Ranker:
        raise InputError(f"{self.name} is a loaded model and cannot be fitted: create a new model")


def _checked(make: Callable[[], T], name: str, values: Mapping[str, object]) -> T:
    """Call `make`, which validates `values`, and turn a pydantic error into an `InputError` of one line."""
    from pydantic import ValidationError

    from toolkit.validation import one_line

    try:
        return make()
    except ValidationError as error:
        raise one_line(error, values, f"{name}: ") from None
