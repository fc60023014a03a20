"""`playlist_disjoint`: whole playlists are held out, their first tracks shown and the rest hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolkit.errors import InputError
from toolkit.evaluation.protocols.split_options import DEALING, Dealt, Shown, WholeLists

if TYPE_CHECKING:
    from toolkit.corpus.arrays import Corpus
    from toolkit.corpus.splits import Split


class DealtLists(WholeLists, Dealt):
    """Whole playlists dealt into training, validation and test."""

    def dealt(self, corpus: Corpus, shown: float, seeds: int | None) -> Split:
        """The parts, checked for leaks.

        Raises `InputError` where folds are set and the data's own split is what counts.
        """
        from toolkit.corpus import splits
        from toolkit.evaluation import leaks

        if self.by == "auto" and splits.by_column(corpus):
            self._check_default_folds()
        parts = splits.playlist_disjoint(
            corpus,
            shown=shown,
            seeds=seeds,
            min_tracks=self.min_tracks,
            by=self.by,
            folds=self.folds,
            test_fold=self.fold,
            valid_fraction=self.valid_fraction,
        )
        parts = self.without_copies(parts)
        leaks.check_leaks(parts, disjoint=True)
        return parts

    def _check_default_folds(self) -> None:
        for key in DEALING:
            if (value := getattr(self, key)) != type(self).model_fields[key].default:
                rule = "is for playlists dealt by hash, and the data says of each whether it is train, valid or test"
                raise InputError(
                    f"evaluation.split.{key}={value} {rule}: set evaluation.split.by: hash, or take it out"
                )


class PlaylistDisjoint(Shown, DealtLists):
    """Holds out whole playlists, with all their versions; their first tracks are shown and the rest is hidden."""

    type: str = "playlist_disjoint"

    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        return self.ordered(self.dealt(corpus, self.shown, self.seeds))

    @property
    def shows_beginnings(self) -> bool:
        return not self.shuffle_seeds
