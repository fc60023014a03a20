"""Keys that several protocols have, each with its own checks."""

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

ALL = "all"
"""As `test_fold`: each fold in its turn."""


def _thousandths(share: float) -> float:
    if abs(share * 1000 - round(share * 1000)) > 1e-6:
        near = min(999, max(1, round(share * 1000))) / 1000
        rule = f"must be a whole number of thousandths, for shares are counted in integers: use {near}"
        raise rule_error("thousandths", rule)
    return share


def _cut(cut: object) -> object:
    """A share, or a time as text. YAML reads some texts as dates."""
    cut = cut.isoformat() if isinstance(cut, date) else cut
    share = isinstance(cut, int | float) and 0 < cut < 1
    if not share and not (
        isinstance(cut, str) and not cut.replace(".", "").isdecimal() and to_seconds(cut) is not None
    ):
        raise ValueError(f"{cut!r} must be a date, such as 2020-07-01, or a share of all placements between 0 and 1")
    return cut


def _fold(fold: object) -> object:
    if fold != ALL and (isinstance(fold, bool) or not isinstance(fold, int) or fold < 0):
        raise ValueError(f"{fold!r} must be the number of a fold, from 0, or all")
    return fold


Share = Annotated[float, Field(gt=0, lt=1), AfterValidator(_thousandths)]
"""A share, in whole thousandths."""

Cut = Annotated[float | str, BeforeValidator(_cut)]
"""A moment of the calendar."""

Fold = Annotated[Annotated[int, Field(ge=0)] | Literal["all"], BeforeValidator(_fold)]
"""The fold that is tested, or `all` of them one after the other."""

DEALING = ("folds", "test_fold", "valid_fraction")
"""Keys that choose the fold that is held out."""


def refuse(part: Protocol, keys: Mapping[str, str]) -> None:
    """Raise `ValueError` for a key with another value than its default. keys: by name, what the key is for."""
    for key, why in keys.items():
        default = type(part).model_fields[key].get_default(call_default_factory=True)
        if getattr(part, key) != default:
            cure = f"take it out, or set it to its default, {default}"
            raise ValueError(f"{key}={getattr(part, key)} is for {why}: {cure}")


class Shown(Protocol):
    """Keys for the number of first tracks of a held-out playlist that are shown."""

    shown: Share = Field(0.7, description="the share of a playlist's tracks that are shown, the first ones")
    seeds: int | None = Field(None, ge=1, le=100_000, description="a fixed number of seeds instead of `shown`")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.seeds is not None:
            refuse(self, {"shown": f"`seeds: null`, not `{self.seeds}`"})
        return self


class Shuffled(Protocol):
    """Key for the order in which seeds are shown."""

    shuffle_seeds: bool = Field(False, description="show the seeds in another order: what order is worth")

    def ordered(self, parts: Split) -> Split:
        """The parts with their seeds in the order in which they are shown."""
        from dataclasses import replace

        from toolkit.evaluation import shuffled_seeds as shown

        return (
            replace(parts, valid=shown.shuffled(parts.valid), test=shown.shuffled(parts.test))
            if self.shuffle_seeds
            else parts
        )


class WholeLists(Shuffled):
    """Keys of protocols whose test playlists are not in training."""

    whole_lists: ClassVar[bool] = True

    min_tracks: int = Field(10, ge=2, description="shorter held-out playlists are not tested")
    equal_lists: Literal["stop", "drop"] = Field(
        "stop", description="where training or validation holds a list that is tested: stop, or leave it out there"
    )
    strict_overlap: bool = Field(
        False, description="stop where a test playlist shares most of its tracks with a training playlist"
    )

    @property
    def stops_at_overlap(self) -> bool:
        return self.strict_overlap

    def without_copies(self, parts: Split) -> Split:
        """The parts without lists of training and validation that are tested, where they are to be dropped."""
        from toolkit.evaluation import leaks

        return leaks.without_copies(parts)[0] if self.equal_lists == "drop" else parts


class Folds(Protocol):
    """Keys for the fold that is tested, and for the share of the others that validates."""

    folds: int = Field(5, ge=2, description="equal parts of what may be held out")
    valid_fraction: Share = Field(0.1, description="share of the other folds that validates")

    def check_fold(self, fold: int | str) -> None:
        """Raise `ValueError` for a fold that does not exist."""
        if isinstance(fold, int) and fold >= self.folds:
            raise ValueError(f"test_fold={fold} must be < folds={self.folds}")


class Dealt(Folds):
    """Keys of protocols that split playlists by a column of the data, or by a hash of their group."""

    by: Literal["auto", "column", "hash"] = Field(
        "auto", description="auto: the data's own split where it has one, else hash"
    )
    test_fold: Fold = Field(0, description="all: a run for each, and one table")

    @model_validator(mode="after")
    def _dealt_by_hash(self) -> Self:
        self.check_fold(self.test_fold)
        if self.by == "column":
            refuse(self, dict.fromkeys(DEALING, "`by: auto` or `hash`, not `column`"))
        return self

    @property
    def fold(self) -> int:
        """The fold that is tested. Raises `InputError` if all are."""
        if isinstance(self.test_fold, str):
            rule = "is for `segue run` and `segue bench`, a run for each fold"
            raise InputError(f"evaluation.split.test_fold=all {rule}: name one, 0 to {self.folds - 1}")
        return self.test_fold

    def each_fold(self) -> list[Self]:
        return (
            [self.model_copy(update={"test_fold": fold}) for fold in range(self.folds)] if self.test_fold == ALL else []
        )


class ColdTracks(Folds):
    """Keys and split of protocols whose hidden tracks are not in training.

    - by_artist: whether artists are held out with all their tracks.
    """

    cold: ClassVar[bool] = True
    by_artist: ClassVar[bool] = False

    test_fold: int = Field(0, ge=0)
    min_tracks: int = Field(10, ge=2, description="shorter playlists are not tested")
    field: str | None = Field(None, description="of the catalogue, instead of folds: texts train, valid or test")

    @model_validator(mode="after")
    def _folds_or_field(self) -> Self:
        self.check_fold(self.test_fold)
        if self.field is not None:
            refuse(self, dict.fromkeys(DEALING, f"`field: null`, not `{self.field}`"))
        return self

    @property
    def reads_field(self) -> str | None:
        return self.field

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
