"""A recipe: one YAML file that says what to run, on what, and with which settings.

Every key is checked before anything runs; an unknown one is an error that
names its line and the nearest key there is.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from toolkit.recipe.coldstart import ColdStart
from toolkit.recipe.evaluation import Evaluation
from toolkit.recipe.section import Section
from toolkit.recipe.sweep import Sweep


class Permission(Section):
    """The user's word that content whose source forbids or does not state training may be trained on."""

    allowed: bool
    reason: str = Field(min_length=3)


class Filters(Section):
    """What of the file enters the corpus; minimum counts are applied to a fixed point."""

    min_track_plays: int = Field(1, ge=1, description="playlists a track must be in; tracks without any are governed by `unplayed`")
    min_playlist_length: int = Field(2, ge=1)
    repeats: Literal["keep", "drop"] = "drop"
    unplayed: Literal["keep", "drop"] = "keep"


class Data(Section):
    """Where playlists and tracks come from."""

    reader: str = "auto"
    path: Path | None = None
    options: dict[str, Any] = {}
    on_error: Literal["stop", "skip"] = "stop"
    filters: Filters = Filters()
    level: Literal["track", "artist"] = Field(
        "track",
        description="artist: everything on artists, after the filters: playlists hold artists, with the plays of their tracks summed",
    )
    permission: Permission | None = None


class Targets(Section):
    """What a supervised encoder learns to predict, from tracks of the training split alone: labels of a field, or factors."""

    field: str | None = Field(None, description="texts of the catalogue, such as genre or tags")
    factors: int | None = Field(
        None, ge=1, le=4096, description="instead of labels: so many factors of the training split, otherwise as `coldstart.factors` says"
    )
    level: Literal["track", "artist"] = Field(
        "track", description="of factors: the track's own, or its artist's, from the sum over his tracks"
    )
    source: str | None = None
    separator: str | None = Field(",", min_length=1, description="what a list of labels is split on; null: a text is one label")
    min_tracks: int = Field(2, ge=1, description="training tracks that a label must have")
    most: int = Field(200, ge=1, description="labels that are kept, the most frequent")

    @model_validator(mode="after")
    def _one(self) -> Targets:
        if (self.field is None) == (self.factors is None):
            raise ValueError("targets are either labels of a field or factors: give one of field: … and factors: …")
        if self.factors is None and "level" in self.model_fields_set:
            raise ValueError("level is for factors: take it out, or give factors: … instead of field")
        if self.factors is not None and (wrong := self.model_fields_set - {"factors", "field", "level"}):
            raise ValueError(f"{sorted(wrong)[0]} is for labels of a field: take it out, or give field: … instead of factors")
        return self


class EncoderSpec(Section):
    """One modality: which field of the catalogue goes through which encoder."""

    encoder: str
    field: str
    source: str | None = Field(None, description="only values of this source; needed where vectors come from several")
    targets: Targets | None = Field(None, description="what a supervised encoder learns to predict")
    params: dict[str, Any] = {}


REDUCTION = re.compile(r"none|(pca|linear|mlp):[1-9]\d*")


class Fusion(Section):
    """How modalities become one item table."""

    architecture: Literal["early", "late"] = Field(
        "early", description="early: modalities joined before one transformer; late: a stack each, their last layers added"
    )
    regularise: bool = Field(
        True,
        description="LayerNorm, dropout and small initialisation of projected content, LayerNorm and dropout of reductions; false: bare",
    )
    modalities: list[str] | None = Field(None, description="default: every encoder of the recipe")
    missing: Literal["mean", "zero", "linear", "em", "mask_token"] = Field(
        "mean", description="linear, em: predicted from the modalities a track has; mask_token: a learned vector"
    )
    em_rank: int = Field(32, ge=1, description="factors of the Gaussian of `missing: em`")
    reduce: str | dict[str, str] = Field("none", description="none, pca:N, linear:N or mlp:N, for all or by modality")
    reduce_joint: str = Field("none", description="none, pca:N, linear:N or mlp:N, of the joined vector")
    normalise: Literal["none", "before", "after"] = "before"
    join: Literal["concat", "sum", "gated"] = Field("concat", description="under `architecture: late` sum or gated")
    id_embedding: bool = True
    id_dropout: float = Field(0.0, ge=0, lt=1, description="chance that a track's free id vector is left out of a training step")
    modality_dropout: float = Field(0.0, ge=0, lt=1)
    table: Literal["float32", "bfloat16", "int8"] = Field(
        "float32", description="how frozen content is kept in memory: int8 takes a quarter of float32, with a scale a track and modality"
    )
    table_in: Literal["memory", "file"] = Field(
        "memory", description="file: frozen content stays on disk and is read by rows, for tables that memory does not hold (CPU)"
    )
    match_modalities: list[str] | None = Field(None, description="modalities of the match head; default: all")

    @field_validator("reduce", "reduce_joint")
    @classmethod
    def _reductions(cls, given: str | dict[str, str]) -> str | dict[str, str]:
        for value in given.values() if isinstance(given, dict) else [given]:
            if not REDUCTION.fullmatch(value):
                raise ValueError(f"{value!r} must be none, pca:N, linear:N or mlp:N")
        return given

    @model_validator(mode="after")
    def _consistent(self) -> Fusion:
        if self.architecture == "late" and self.join == "concat":
            if "join" in self.model_fields_set:
                raise ValueError("join: concat is for architecture: early (late keeps modalities apart): use join: sum, or leave it out")
            self.join = "sum"
        if self.join != "concat" and self.normalise == "after":
            raise ValueError(
                f"normalise: after is for join: concat (under {self.join} modalities are normalised one by one): use normalise: before"
            )
        if self.join != "concat" and self.reduce_joint != "none":
            raise ValueError(f"reduce_joint is for join: concat (under {self.join} nothing is joined before the model): use reduce")
        if self.join == "gated" and self.missing in ("linear", "em", "mask_token"):
            raise ValueError(f"missing: {self.missing} fills in what join: gated leaves out: use missing: mean, or join: sum")
        if self.reduce_joint.startswith("pca"):
            for key, set_ in (("missing: mask_token", self.missing == "mask_token"), ("modality_dropout", self.modality_dropout > 0)):
                if set_:
                    raise ValueError(
                        f"{key} is for modalities that the model sees apart, and reduce_joint: pca joins them before: use reduce"
                    )
        return self

    def reduction(self, modality: str) -> str:
        """How one modality is reduced: `none`, `pca:N`, `linear:N` or `mlp:N`."""
        return self.reduce.get(modality, "none") if isinstance(self.reduce, dict) else self.reduce


class ModelSpec(Section):
    """One sequential model; `modalities: []` is the same model on ids alone."""

    type: Literal["sasrec", "bert4rec"]
    name: str | None = None
    group: str | None = Field(None, min_length=1, description="heading under which tables put it")
    fusion: Fusion | None = Field(None, description="what this model's fusion has other than the recipe's, key by key")
    modalities: list[str] | None = Field(None, description="default: those of `fusion`; [] for ids alone")
    titles: bool = Field(False, description="add the playlist's title, through the `titles` encoder, to every position")
    train: Literal["frozen", "finetune", "warmup"] = Field(
        "frozen", description="of the content vectors; warmup: frozen for `warmup_epochs`, then fine-tuned"
    )
    warmup_epochs: int = Field(5, ge=1)
    head: Literal["tied", "untied"] = "tied"
    cold_rows: Literal["none", "content", "predicted"] = Field(
        "content",
        description="how tracks without a training placement are ranked: not at all, by content alone, or with a free id that a ridge"
        " regression from content to the trained free ids predicts",
    )
    cold_system: str | None = Field(
        None,
        description="under `cold_rows: predicted`, a system of `coldstart` whose scores are added to the model's, by a weight that is"
        " chosen on validation",
    )
    loss: Literal["full", "chunked", "sampled", "gbce"] = "chunked"
    negatives: int = Field(4096, ge=1, description="tracks drawn each step as wrong answers, under `loss: sampled` and `loss: gbce`")
    negatives_from: Literal["uniform", "popularity"] = Field(
        "uniform", description="under `loss: sampled`, whether tracks are drawn alike or in proportion to their training placements"
    )
    gbce_t: float = Field(0.75, ge=0, le=1, description="calibration of `loss: gbce`: 0 is plain binary cross-entropy, 1 fully corrected")
    batch_negatives: bool = Field(
        True,
        description="under `loss: sampled`, the batch's own tracks are wrong answers too: good beside few drawn ones, some times slower",
    )
    log_q: bool = Field(True, description="correct sampled logits by each track's chance of being in the sample")
    popularity: bool = Field(False, description="add a learned multiple of log(1 + plays) to every score")
    initialisation: Literal["auto", "identity", "xavier", "recbole"] = Field(
        "auto",
        description="of the transformer's matrices: Xavier; identity, that and the way from tracks to masks open (BERT4Rec); RecBole's;"
        " auto: xavier for SASRec, identity for BERT4Rec, recbole where strict",
    )
    id_start: Literal["cooccurrence", "random"] = Field(
        "random", description="free ids from the training playlists' co-occurrence instead of noise"
    )
    match: bool = Field(False, description="score candidates also by how much they resemble the seeds, modality by modality")
    neighbours: int = Field(
        0,
        ge=0,
        description="score candidates also by the training playlists they share with the seeds, so many nearest of each;"
        " tracks without plays get none of it",
    )
    match_weights: Literal["first", "joint"] = Field(
        "first", description="first: fitted alone before the transformer, then held; joint: learned with the rest"
    )
    hidden_size: int = Field(64, ge=2)
    layers: int = Field(2, ge=1)
    heads: int = Field(2, ge=1)
    inner_size: int | None = Field(None, ge=1, description="default: four times `hidden_size`")
    max_length: int = Field(50, ge=2)
    dropout: float = Field(0.2, ge=0, lt=1)
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    mask_ratio: float = Field(0.2, gt=0, lt=1)
    last_item_epochs: int = Field(0, ge=0, description="BERT4Rec: so many epochs more from the best weights, hiding only the last track")
    strict_recbole: bool = Field(
        False, description="BERT4Rec with the faults of RecBole's, for comparison: its masks, softmax and lost seed"
    )
    shuffle: bool = Field(False, description="a new order of each playlist every epoch: for lists whose order says little")
    windows: Literal["overlap", "disjoint"] = Field(
        "overlap",
        description="playlists longer than max_length, cut elsewhere each epoch: half overlapping, or not at all, up to twice as fast",
    )
    epochs: int = Field(20, ge=1)
    patience: int = Field(3, ge=1)
    select: str = Field(
        "ndcg@50",
        pattern=r"^(recall|ndcg)@\d+$",
        description="validation metric for early stopping and the best epoch; without ndcg@50 in the evaluation, what it has next to it",
    )
    batch_tokens: int = Field(4096, ge=64, description="positions a step")
    lr: float = Field(1e-3, gt=0)
    adam: Literal["dense", "rows"] = Field(
        "dense",
        description="rows: a step moves, and decays, the vectors of its own tracks alone: for large catalogues, under `loss: sampled`"
        " and `loss: gbce`. Not the same training as dense, which carries every track on by its momentum",
    )
    weight_decay: float = Field(0.0, ge=0)
    average: bool = Field(False, description="validate and keep a running average of the weights over about one epoch")
    bf16: Literal["auto", "on", "off"] = "auto"

    @model_validator(mode="after")
    def _consistent(self) -> ModelSpec:
        if self.hidden_size % self.heads:
            raise ValueError(f"hidden_size={self.hidden_size} must be a multiple of heads={self.heads}")
        if self.type != "bert4rec" and (self.strict_recbole or self.last_item_epochs):
            raise ValueError(f"strict_recbole and last_item_epochs are for type: bert4rec, not {self.type}: take them out")
        if self.type != "bert4rec" and self.initialisation == "identity":
            raise ValueError(f"initialisation: identity is for type: bert4rec, not {self.type}: use xavier")
        if self.negatives_from == "popularity" and self.loss != "sampled":
            raise ValueError(f"negatives_from: popularity is for loss: sampled, not {self.loss}: use loss: sampled, or take it out")
        if self.negatives_from == "popularity" and self.strict_recbole:
            raise ValueError("negatives_from: popularity never draws the unplayed tracks that strict_recbole: true counts: use uniform")
        if self.train == "warmup" and self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs={self.warmup_epochs} must be < epochs={self.epochs}: nothing would be fine-tuned")
        if self.adam == "rows" and self.loss not in ("sampled", "gbce"):
            raise ValueError(f"adam: rows needs loss: sampled or gbce (with loss: {self.loss} every track has a gradient): use adam: dense")
        return self

    @property
    def starts(self) -> str:
        """The initialisation that `auto` stands for, or the one given."""
        if self.initialisation != "auto":
            return self.initialisation
        return "recbole" if self.strict_recbole else "identity" if self.type == "bert4rec" else "xavier"

    def ids_only(self, fusion: Fusion, encoders: dict[str, EncoderSpec]) -> bool:
        """Whether the model sees no modality."""
        return not self.inputs(fusion, encoders)

    def inputs(self, fusion: Fusion, encoders: dict[str, EncoderSpec]) -> list[str]:
        """Names of the modalities it sees."""
        if self.modalities is not None:
            return self.modalities
        fusion = self.fusion or fusion
        return fusion.modalities if fusion.modalities is not None else list(encoders)

    def system_name(self, fusion: Fusion, encoders: dict[str, EncoderSpec]) -> str:
        """Its row in the tables: `sasrec-ids`, `bert4rec-multimodal`, …"""
        kind = "ids" if self.ids_only(fusion, encoders) else "multimodal"
        return self.name or f"{self.type}-{kind}"


class BaselineSpec(Section):
    """A baseline with parameters; in a recipe a bare name does too."""

    name: str
    params: dict[str, Any] = {}


class Report(Section):
    """The page of the run."""

    examples: int = Field(10, ge=0)
    example_length: int = Field(10, ge=1)
    map: int = Field(
        500, ge=0, le=5000, description="tracks on the map of what the best sequential model, or else the encoders, know; 0: no map"
    )
    map_by: Literal["tsne", "umap"] = "tsne"
    similar: int = Field(5, ge=0, le=100, description="most played tracks whose most similar ones are listed; 0: none")


class Recipe(Section):
    """A whole run. Only `data` is required."""

    name: str = Field("run", description="of the run; default: the file's")
    data: Data
    collect: dict[str, Any] | None = Field(None, description="what to collect and from where, checked by the stage of that name")
    encoders: dict[str, EncoderSpec] = {}
    engine: Literal["local", "ray"] = Field("local", description="where inputs are encoded: in this process, or over Ray's (`RAY_ADDRESS`)")
    workers: int | None = Field(None, ge=1, description="processes under `engine: ray`; default: one a processor")
    titles: EncoderSpec | None = Field(None, description="encoder of playlist titles, for models with `titles: true`")
    fusion: Fusion = Fusion()
    defaults: dict[str, Any] = Field({}, description="what every entry of `models` says unless it says otherwise")
    models: list[ModelSpec] = []
    on_missing_weights: Literal["stop", "skip"] = Field(
        "stop", description="skip: models whose encoder's pretrained weights are not here stand in the tables as not run"
    )
    coldstart: ColdStart = ColdStart()
    baselines: list[str | BaselineSpec] = ["popularity", "item-knn", "content-centroid"]
    evaluation: Evaluation = Evaluation()
    sweep: Sweep | None = Field(None, description="settings that `segue sweep` searches on validation")
    report: Report = Report()
    seed: int = Field(0, ge=0)
    seeds: list[Annotated[int, Field(ge=0)]] | None = Field(
        None, min_length=2, description="every system that draws is fitted once a seed: mean and standard deviation stand in the tables"
    )
    device: str = "auto"
    threads: int | None = Field(None, ge=1, le=1024)

    @property
    def reads_fields(self) -> bool:
        """Whether it needs more of the catalogue than who plays what."""
        named = self.coldstart.tags or self.coldstart.looking or self.evaluation.split.field
        return bool(self.encoders or named)

    @model_validator(mode="after")
    def _default_select(self) -> Recipe:
        """Models are selected by something that the evaluation measures; a `select` that was given stays, to be refused by name."""
        metrics, lengths = [name for name in self.evaluation.metrics if name in ("recall", "ndcg")], self.evaluation.k
        for model in self.models:
            if "select" not in model.model_fields_set and metrics and not ("ndcg" in metrics and 50 in lengths):
                model.select = f"{'ndcg' if 'ndcg' in metrics else metrics[0]}@{min(lengths, key=lambda k: abs(k - 50))}"
        return self

    @model_validator(mode="after")
    def _first_seed(self) -> Recipe:
        if self.seeds is not None:
            if len(set(self.seeds)) < len(self.seeds):
                raise ValueError(f"seeds={self.seeds} names a seed twice: take one out")
            if "seed" in self.model_fields_set and self.seed != self.seeds[0]:
                raise ValueError(f"seed={self.seed} and seeds={self.seeds} are both given: take one out")
            self.seed = self.seeds[0]
        return self

    @model_validator(mode="after")
    def _default_baselines(self) -> Recipe:
        if "baselines" not in self.model_fields_set and not self.encoders:
            self.baselines = [name for name in self.baselines if name != "content-centroid"]
        return self
