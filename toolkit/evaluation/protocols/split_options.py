"""Keys shared by several protocols, with their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from toolkit.contracts.protocol import Protocol
from toolkit.errors import InputError
from toolkit.parameters import rule_error
from toolkit.timestamps import to_seconds

if TYPE_CHECKING:
    from toolkit.corpus.arrays import Corpus
    from toolkit.corpus.splits import Split

LARGER_SHARES, SHORTER_LISTS = (0.2, 0.3, 0.5), (5, 3, 2)
"""Values of `valid_fraction` and `min_tracks` that `larger_validation` returns."""

ALL = "all"
"""Value of `test_fold` for testing each fold in turn."""


def _thousandths(share: float) -> float:
    if abs(share * 1000 - round(share * 1000)) > 1e-6:
        near = min(999, max(1, round(share * 1000))) / 1000
        rule = f"must be a multiple of 0.001: set {near}"
        raise rule_error("thousandths", rule)
    return share


def _cut(cut: object) -> object:
    """Return a share or a time as text. YAML parses some texts as dates."""
    cut = cut.isoformat() if isinstance(cut, date) else cut
    share = isinstance(cut, int | float) and 0 < cut < 1
    if not share and not (
        isinstance(cut, str) and not cut.replace(".", "").isdecimal() and to_seconds(cut) is not None
    ):
        raise ValueError(f"{cut!r} must be a date such as 2020-07-01, or a share of playlist entries between 0 and 1")
    return cut


def _fold(fold: object) -> object:
    if fold != ALL and (isinstance(fold, bool) or not isinstance(fold, int) or fold < 0):
        raise ValueError(f"{fold!r} must be a fold number >= 0 or all")
    return fold


Share = Annotated[float, Field(gt=0, lt=1), AfterValidator(_thousandths)]
"""A share between 0 and 1, as a multiple of 0.001."""

Cut = Annotated[float | str, BeforeValidator(_cut)]
"""A point in time: a date, or a share of all playlist entries."""

Fold = Annotated[Annotated[int, Field(ge=0)] | Literal["all"], BeforeValidator(_fold)]
"""The tested fold, or `all` for testing each fold in turn."""

DEALING = ("folds", "test_fold", "valid_fraction")
"""Keys that select the held-out fold."""


def refuse(part: Protocol, keys: Mapping[str, str]) -> None:
    """Raise `ValueError` for a key that is not at its default. keys: condition for each key, by name."""
    for key, why in keys.items():
        default = type(part).model_fields[key].get_default(call_default_factory=True)
        if getattr(part, key) != default:
            raise ValueError(
                f"{key}={getattr(part, key)} can be set only with {why}: remove {key}, or set the default {default}"
            )


def _below(min_tracks: int) -> list[dict[str, object]]:
    return [{"min_tracks": length} for length in SHORTER_LISTS if length < min_tracks]


class Shown(Protocol):
    """Keys for the number of first tracks of a held-out playlist that are shown."""

    shown: Share = Field(0.7, description="share of a playlist's tracks that are shown, from the first track")
    seeds: int | None = Field(None, ge=1, le=100_000, description="fixed number of seeds instead of `shown`")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.seeds is not None:
            refuse(self, {"shown": f"`seeds: null`, not `{self.seeds}`"})
        return self


class Shuffled(Protocol):
    """Key for the order of the seeds."""

    shuffle_seeds: bool = Field(False, description="show the seeds in random order, to measure the effect of order")

    def ordered(self, parts: Split) -> Split:
        """Return the parts with seeds in the order in which they are shown."""
        from dataclasses import replace

        from toolkit.evaluation import shuffled_seeds as shown

        return (
            replace(parts, valid=shown.shuffled(parts.valid), test=shown.shuffled(parts.test))
            if self.shuffle_seeds
            else parts
        )


class StrictOverlap(Protocol):
    """Key that stops the run if the same data is on both sides of the split in different forms."""

    strict_overlap: bool = Field(
        False,
        description="stop if a test playlist shares most of its tracks with a training playlist, or if the recording of"
        " a hidden track is in training under another id",
    )

    @property
    def stops_at_overlap(self) -> bool:
        return self.strict_overlap


class WholeLists(StrictOverlap, Shuffled):
    """Keys of protocols whose test playlists are not in training."""

    whole_lists: ClassVar[bool] = True

    min_tracks: int = Field(10, ge=2, description="minimum length of a tested playlist")
    equal_lists: Literal["stop", "drop"] = Field(
        "stop", description="whether a copy of a tested playlist in training or validation stops the run or is dropped"
    )

    def larger_validation(self) -> list[dict[str, object]]:
        return [*super().larger_validation(), *_below(self.min_tracks)]

    def without_copies(self, parts: Split) -> Split:
        """Return the parts, without training and validation copies of tested playlists if `equal_lists` is drop."""
        from toolkit.evaluation import leaks

        return leaks.without_copies(parts)[0] if self.equal_lists == "drop" else parts


class Folds(Protocol):
    """Keys for the tested fold and for the share of the other folds used for validation."""

    folds: int = Field(5, ge=2, description="number of equal parts")
    valid_fraction: Share = Field(0.1, description="share of the other folds used for validation")

    def larger_validation(self) -> list[dict[str, object]]:
        larger: list[dict[str, object]] = [
            {"valid_fraction": share} for share in LARGER_SHARES if share > self.valid_fraction
        ]
        return [*super().larger_validation(), *larger]

    def check_fold(self, fold: int | str) -> None:
        """Raise `ValueError` for a fold that does not exist."""
        if isinstance(fold, int) and fold >= self.folds:
            raise ValueError(f"test_fold={fold} must be < folds={self.folds}")


class Dealt(Folds):
    """Keys of protocols that split playlists by a column of the data or by a hash of their group."""

    by: Literal["auto", "column", "hash"] = Field(
        "auto", description="auto: the split column of the data if there is one, otherwise hash"
    )
    test_fold: Fold = Field(0, description="all: a run for each fold, and a joint table")

    @model_validator(mode="after")
    def _dealt_by_hash(self) -> Self:
        self.check_fold(self.test_fold)
        if self.by == "column":
            refuse(self, dict.fromkeys(DEALING, "`by: auto` or `hash`, not `column`"))
        return self

    @property
    def fold(self) -> int:
        """The tested fold. Raises `InputError` if all folds are tested."""
        if isinstance(self.test_fold, str):
            raise InputError(
                "evaluation.split.test_fold=all can be used only by `segue run` and `segue bench`:"
                f" set a fold from 0 to {self.folds - 1}"
            )
        return self.test_fold

    def each_fold(self) -> list[Self]:
        return (
            [self.model_copy(update={"test_fold": fold}) for fold in range(self.folds)] if self.test_fold == ALL else []
        )


class ColdTracks(StrictOverlap, Folds):
    """Keys and split of protocols whose hidden tracks are not in training.

    - by_artist: whether artists are held out with all their tracks.
    """

    cold: ClassVar[bool] = True
    by_artist: ClassVar[bool] = False

    test_fold: int = Field(0, ge=0)
    min_tracks: int = Field(10, ge=2, description="minimum length of a tested playlist")
    field: str | None = Field(None, description="catalogue field with train, valid or test, instead of folds")

    @model_validator(mode="after")
    def _folds_or_field(self) -> Self:
        self.check_fold(self.test_fold)
        if self.field is not None:
            refuse(self, dict.fromkeys(DEALING, f"`field: null`, not `{self.field}`"))
        return self

    @property
    def reads_field(self) -> str | None:
        return self.field

    def larger_validation(self) -> list[dict[str, object]]:
        return [*super().larger_validation(), *_below(self.min_tracks)]

    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        from toolkit.corpus import cold_splits

        if given is not None:
            parts = cold_splits.prescribed(corpus, given, min_tracks=self.min_tracks)
        else:
            hold_out = cold_splits.artist_disjoint if self.by_artist else cold_splits.item_cold
            shares = {"folds": self.folds, "test_fold": self.test_fold, "min_tracks": self.min_tracks}
            parts = hold_out(corpus, **shares, valid_fraction=self.valid_fraction)
        cold_splits.check_cold(parts, artists=self.by_artist)
        return parts
