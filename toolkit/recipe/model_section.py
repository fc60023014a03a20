"""Entry of `models` in a recipe: a sequential model and its training.

The base class is also the contract for entry-point group `segue.models`. An architecture is a subclass with its own
fields.
"""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, SerializeAsAny, model_validator

from toolkit import plugins
from toolkit.contracts.loss import Loss
from toolkit.errors import OldForm
from toolkit.parameters import Once
from toolkit.parts import Chosen, Part
from toolkit.recipe.data_section import EncoderSpec
from toolkit.recipe.fusion_section import Fusion
from toolkit.recipe.old_model_forms import modern, refuse

if TYPE_CHECKING:
    from torch import nn

    from toolkit.sequential.build_network import Host
    from toolkit.sequential.network import Network


LOSSES = Chosen("segue.losses")


class ModelSpec(Part):
    """Base class for sequential models. With `modalities: []` a model uses ids alone.

    A subclass adds fields and implements `architecture`. The toolkit provides everything else: items from ids and
    content, the match and neighbour heads, titles, popularity, the untied head, the objective, sampling, evaluation,
    saving and loading.

    - objective: the training objective. `causal` predicts each next track from the tracks before it. `masked` predicts
      hidden tracks from the tracks on both sides.

    `segue.plugin.check_model` tests an implementation. docs/models.md has a complete example.
    """

    objective: ClassVar[Literal["causal", "masked"]] = "causal"

    name: str | None = None
    group: str | None = Field(None, min_length=1, description="heading under which tables put it")
    fusion: Fusion | None = Field(None, description="what this model's fusion has other than the recipe's, key by key")
    modalities: Annotated[list[str], Once] | None = Field(
        None, description="default: those of `fusion`; [] for ids alone"
    )
    titles: bool = Field(False, description="add the playlist's title, through the `titles` encoder, to every position")
    train: Literal["frozen", "finetune", "warmup"] = Field(
        "frozen", description="of the content vectors; warmup: frozen for `warmup_epochs`, then fine-tuned"
    )
    warmup_epochs: int = Field(5, ge=1)
    head: Literal["tied", "untied"] = "tied"
    cold_rows: Literal["none", "content", "predicted"] = Field(
        "content",
        description="how tracks without a training placement are ranked: not at all, by content alone, or with a free"
        " id that a ridge"
        " regression from content to the trained free ids predicts",
    )
    cold_system: str | None = Field(
        None,
        description="under `cold_rows: predicted`, a system of `coldstart` whose scores are added to the model's, by"
        " a weight that is"
        " chosen on validation",
    )
    loss: Annotated[SerializeAsAny[Loss], LOSSES] = Field(
        default_factory=partial(LOSSES.part, "chunked"),
        description="training loss: chunked, full, sampled, gbce, or a plug-in",
        json_schema_extra={"default": "chunked"},
    )
    popularity: bool = Field(False, description="add a learned multiple of log(1 + plays) to every score")
    id_start: Literal["cooccurrence", "random"] = Field(
        "random", description="free ids from the training playlists' co-occurrence instead of noise"
    )
    match: bool = Field(
        False, description="score candidates also by how much they resemble the seeds, modality by modality"
    )
    neighbours: int = Field(
        0,
        ge=0,
        description="score candidates also by the training playlists that they share with the seeds, over this many"
        " nearest tracks of each;"
        " 0: not at all. Tracks without plays get nothing from it",
    )
    match_weights: Literal["first", "joint"] = Field(
        "first", description="first: fitted alone before the transformer, then held; joint: learned with the rest"
    )
    hidden_size: int = Field(64, ge=2)
    max_length: int = Field(50, ge=2)
    dropout: float = Field(0.2, ge=0, lt=1)
    shuffle: bool = Field(
        False, description="a new order of each playlist every epoch: for lists whose order says little"
    )
    windows: Literal["overlap", "disjoint"] = Field(
        "overlap",
        description="playlists longer than max_length, cut elsewhere each epoch: half overlapping, or not at all, up"
        " to twice as fast",
    )
    epochs: int = Field(20, ge=1)
    patience: int = Field(3, ge=1)
    select: str = Field(
        "ndcg@50",
        pattern=r"^(recall|ndcg)@\d+$",
        description="validation metric for early stopping and the best epoch; if ndcg@50 is not evaluated, the metric"
        " closest to it. An epoch with fewer than 50 hits is judged by the mean log rank of hidden tracks instead",
    )
    batch_tokens: int = Field(4096, ge=64, description="positions a step")
    lr: float = Field(1e-3, gt=0)
    adam: Literal["dense", "rows"] = Field(
        "dense",
        description="rows: a step moves, and decays, the vectors of its own tracks alone: for large catalogues, under"
        " a loss that samples"
        " (`sampled`, `gbce`). Not the same training as dense, which carries every track on by its momentum",
    )
    weight_decay: float = Field(0.0, ge=0)
    average: bool = Field(False, description="validate and keep a running average of the weights over about one epoch")
    bf16: Literal["auto", "on", "off"] = "auto"

    @abstractmethod
    def architecture(self) -> nn.Module:
        """Return freshly initialised layers, a module with `forward(vectors, kept) -> states`.

        - vectors: float [B, T, hidden_size], the items of B playlists, left-aligned, zero at padding; T ≤ `max_length`.
        - kept: bool [B, T], False at padding. A row may be False throughout.
        - states: float [B, T, hidden_size]; any finite values at padding. Scores are inner products of states and item
          vectors.

        With `objective = "causal"` the state of a position must not depend on later positions. With `masked` all hidden
        tracks have the same learned vector. The method is called once for each model, and once for each stream in late
        fusion.
        """

    def network(self, host: Host) -> Network:
        """Return the whole network.

        The default places `architecture` between an item table and a head. RecBole's models return their own network.
        """
        return host.around(self)

    @property
    def tuning_epochs(self) -> int:
        """Number of additional epochs that start from the best weights and hide only the last track."""
        return 0

    @property
    def masked_share(self) -> float:
        """Share of tracks that the masked objective hides."""
        return 0.2

    @property
    def ranks_every_id(self) -> bool:
        """Whether tracks without training interactions are candidates in training and ranking, as in RecBole."""
        return False

    def layer_parameters(self) -> int:
        """Return a lower bound for the number of parameters, used to reject models that exceed the memory."""
        return 0

    def position_numbers(self) -> int:
        """Return a lower bound for the number of values that the gradient of `architecture` keeps for each position."""
        return 0

    def sizes(self) -> dict[str, int]:
        """Return the settings that determine the model size, by name, for error messages."""
        return {"hidden_size": self.hidden_size, "max_length": self.max_length}

    @classmethod
    def of(cls, entry: Mapping[str, object]) -> ModelSpec:
        """Return the model for an entry with `type`. Raises pydantic's `ValidationError`."""
        loaded: type[ModelSpec] = plugins.load("segue.models", str(entry.get("type")))
        return loaded.model_validate(dict(entry))

    @classmethod
    def saved(cls, entry: Mapping[str, object]) -> ModelSpec:
        """Return the model for a stored entry in the present or an earlier form, without keys that are never read."""
        return cls.of(modern(entry, {key: [value] for key, value in entry.items()})[0])

    @model_validator(mode="before")
    @classmethod
    def _old_form(cls, values: object) -> object:
        if not isinstance(values, dict):
            return values
        written, sentences = modern(values, {}, cls)
        for sentence in sentences:
            warnings.warn(sentence, OldForm, stacklevel=2)
        refuse(written, cls)
        return written

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if self.train == "warmup" and self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs={self.warmup_epochs} must be < epochs={self.epochs} to leave epochs for fine-tuning:"
                " reduce warmup_epochs"
            )
        if self.adam == "rows" and not self.loss.samples:
            raise ValueError(
                "`adam: rows` requires `loss: sampled` or `gbce`, because every track has a gradient"
                f" with `{self.loss.type}`: set `adam: dense`"
            )
        return self

    def ids_only(self, fusion: Fusion, encoders: dict[str, EncoderSpec]) -> bool:
        """Return whether the model uses ids alone, without any modality."""
        return not self.inputs(fusion, encoders)

    def inputs(self, fusion: Fusion, encoders: dict[str, EncoderSpec]) -> list[str]:
        """Return the names of the modalities that the model reads."""
        if self.modalities is not None:
            return self.modalities
        fusion = self.fusion or fusion
        return fusion.modalities if fusion.modalities is not None else list(encoders)

    def system_name(self, fusion: Fusion, encoders: dict[str, EncoderSpec]) -> str:
        """Return the system name in tables, such as `sasrec-ids` or `bert4rec-multimodal`."""
        kind = "ids" if self.ids_only(fusion, encoders) else "multimodal"
        return self.name or f"{self.type.rpartition(':')[2].rpartition('.')[2]}-{kind}"


class MaskedSpec(ModelSpec):
    """Base class for models with the masked objective and both of its settings."""

    objective: ClassVar[Literal["causal", "masked"]] = "masked"
    mask_ratio: float = Field(0.2, gt=0, lt=1, description="share of tracks that a step hides")
    last_item_epochs: int = Field(
        0, ge=0, description="this many more epochs from the best weights, hiding only the last track"
    )

    @property
    def masked_share(self) -> float:
        return self.mask_ratio

    @property
    def tuning_epochs(self) -> int:
        return self.last_item_epochs
