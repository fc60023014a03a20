"""An entry of `models` in a recipe: one sequential model and how it is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from toolkit.recipe.data import EncoderSpec
from toolkit.recipe.fusion import Fusion
from toolkit.recipe.section import Section


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
