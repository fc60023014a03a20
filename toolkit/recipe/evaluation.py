"""The section `evaluation` of a recipe: who is held out, what is shown of them, and what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from toolkit import plugins
from toolkit.recipe.section import Section
from toolkit.times import seconds

Protocol = Literal["leave_last_out", "playlist_disjoint", "mpd_challenge", "item_cold", "artist_disjoint", "global_time"]
WHOLE_LISTS = ("playlist_disjoint", "mpd_challenge", "global_time")
"""Protocols that ask about playlists which are not in training."""
DEALT = ("playlist_disjoint", "mpd_challenge")
"""Those of them that deal playlists into parts; the calendar deals those of `global_time`."""
COLD = ("item_cold", "artist_disjoint")
"""Protocols that ask about tracks which are not in training."""
ALL = "all"
"""As `split.test_fold`: each fold in its turn."""
SituationName = Literal[
    "title", "title_first_1", "title_first_5", "first_5", "title_first_10", "first_10", "title_first_25", "title_random_25",
    "title_first_100", "title_random_100",
]  # fmt: skip
Fault = Literal["lost_tracks", "item_zero", "first_50"]
SliceName = Literal["seeds", "length", "popularity", "modalities"]


def _metric(given: str) -> str:
    """A name of the entry-point group `segue.metrics`, or `module:Class`, which is imported."""
    if given not in plugins.names(METRICS):
        if ":" not in given:
            known = plugins.suggest(given, plugins.names(METRICS))
            raise PydanticCustomError("unknown_metric", "{rule}", {"rule": f"is not a metric: {known}"})
        plugins.load(METRICS, given)
    return given


@dataclass(frozen=True)
class Examples:
    """Annotation that puts the names of an entry-point group into the published schema; others may come."""

    group: str

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(schema), "examples": plugins.names(self.group)}


METRICS = "segue.metrics"
MetricName = Annotated[str, AfterValidator(_metric), Examples(METRICS)]
"""A metric that is installed, or one's class."""


def _cut(given: Any) -> Any:
    """A share, or a time as text; YAML makes dates of some texts."""
    given = given.isoformat() if isinstance(given, date) else given
    share = isinstance(given, int | float) and 0 < given < 1
    if not share and not (isinstance(given, str) and not given.replace(".", "").isdecimal() and seconds(given) is not None):
        raise ValueError(f"{given!r} must be a date, such as 2020-07-01, or a share of all placements between 0 and 1")
    return given


Cut = Annotated[float | str, BeforeValidator(_cut)]
"""A moment of the calendar."""


def _fold(given: Any) -> Any:
    if given != ALL and (isinstance(given, bool) or not isinstance(given, int) or given < 0):
        raise ValueError(f"{given!r} must be the number of a fold, from 0, or all")
    return given


Fold = Annotated[Annotated[int, Field(ge=0)] | Literal["all"], BeforeValidator(_fold)]
"""The fold that is tested, or each in its turn."""


class SplitSpec(Section):
    """Who is held out under `playlist_disjoint`, which tracks under `item_cold` and `artist_disjoint`, since when under `global_time`."""

    by: Literal["auto", "column", "hash"] = "auto"
    folds: int = Field(5, ge=2)
    test_fold: Fold = Field(0, description="all: a run for each, and one table")
    valid_fraction: float = Field(0.1, gt=0, lt=1)
    field: str | None = Field(
        None,
        description="of the catalogue, instead of folds under `item_cold` and `artist_disjoint`: texts train, valid or test",
    )
    valid_from: Cut = Field(0.8, description="under `global_time`, when training ends: a date, or the share of all placements before it")
    test_from: Cut = Field(0.9, description="under `global_time`, when validation ends and the test begins")


class Evaluation(Section):
    """How systems are compared."""

    protocol: Protocol = "playlist_disjoint"
    split: SplitSpec = SplitSpec()
    shown: float = Field(0.7, gt=0, lt=1)
    seeds: int | None = Field(None, ge=1, le=100_000, description="a fixed number of seeds instead of `shown`")
    min_tracks: int = Field(10, ge=2)
    new_playlists: Literal["shown", "drop"] = Field(
        "shown", description="under `global_time`, those that start after the cut: asked about by `shown` or `seeds`, or left out"
    )
    k: list[int] = Field([20, 50, 500], min_length=1)
    metrics: list[MetricName] = ["recall", "ndcg"]
    slices: list[SliceName] = Field(
        ["seeds", "length", "popularity", "modalities"],
        description="beside warm and cold: playlists by number of seeds and by length, hidden tracks by popularity and by modalities",
    )
    situations: list[SituationName] = Field(
        list(get_args(SituationName)), min_length=1, description="under `mpd_challenge`, which of the challenge's ten"
    )
    faults: list[Fault] = Field([], description="under `leave_last_out`, faults of a published code to reproduce")
    shuffle_seeds: bool = Field(False, description="show the seeds in another order: what order is worth")
    equal_lists: Literal["stop", "drop"] = Field(
        "stop", description="where training or validation holds a list that is tested: stop, or leave it out there"
    )
    strict_overlap: bool = Field(False, description="stop where a test playlist shares most of its tracks with a training playlist")
    bootstrap: int = Field(1000, ge=10, le=100_000)
    allow_repeats: bool = False
    memory_mb: int = Field(256, ge=16, description="bound on the scores held at once")
    rankings: int = Field(
        500, ge=0, le=100_000, description="of each system's test rankings, the first tracks that are kept in rankings.parquet; 0: none"
    )
    attribution: bool = Field(
        False, description="what each modality adds: every model again without each of its modalities, and with each one shuffled"
    )
    reference: str | None = Field(None, description="system the others are compared with; default: the first model")

    @model_validator(mode="after")
    def _consistent(self) -> Evaluation:
        if any(not 1 <= k <= 100_000 for k in self.k):
            raise ValueError(f"k={self.k} must all lie in 1…100000")
        if self.split.field is not None and self.protocol not in COLD:
            raise ValueError(f"split.field is for protocol: item_cold and artist_disjoint, not {self.protocol}: take it out")
        for key, share in (("shown", self.shown), ("split.valid_fraction", self.split.valid_fraction)):
            if abs(share * 1000 - round(share * 1000)) > 1e-6:
                near = min(999, max(1, round(share * 1000))) / 1000
                raise ValueError(f"{key}={share} must be a whole number of thousandths, for shares are counted in integers: use {near}")
        if self.split.test_fold == ALL:
            if self.protocol not in DEALT:
                raise ValueError(f"split.test_fold=all is for protocol: {' and '.join(DEALT)}, not {self.protocol}: take it out")
        elif isinstance(self.split.test_fold, int) and self.split.test_fold >= self.split.folds:
            raise ValueError(f"test_fold={self.split.test_fold} must be < folds={self.split.folds}")
        if self.faults and self.protocol != "leave_last_out":
            raise ValueError(f"faults are of protocol: leave_last_out, not {self.protocol}: take them out")
        if self.protocol == "mpd_challenge":
            self.k = self.k if "k" in self.model_fields_set else [500]
            self.metrics = self.metrics if "metrics" in self.model_fields_set else ["rprec_artist", "rprec", "ndcg", "clicks"]
        return self

    @property
    def shows_beginnings(self) -> bool:
        """Whether every held-out playlist is shown from its first track, in its order."""
        return self.protocol in ("leave_last_out", "playlist_disjoint") and not self.shuffle_seeds and not self.faults
