"""Protocol `playlist_disjoint`, which holds out whole playlists, shows their first tracks and hides the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from toolkit.errors import InputError
from toolkit.evaluation.protocols.split_options import DEALING, Dealt, Shown, WholeLists

if TYPE_CHECKING:
    from toolkit.corpus.arrays import Corpus
    from toolkit.corpus.splits import Split


class DealtLists(WholeLists, Dealt):
    """Whole playlists divided into training, validation and test."""

    def dealt(self, corpus: Corpus, shown: float, seeds: int | None) -> Split:
        """Return the parts after checking them for leaks.

        Raises `InputError` if folds are set but the split column of the data is used.
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

    def larger_validation(self) -> list[dict[str, object]]:
        """Return changes of shares and lengths, and last the split by hash instead of the column of the data."""
        by_hash: list[dict[str, object]] = [{"by": "hash"}] if self.by != "hash" else []
        return [*super().larger_validation(), *by_hash]

    def _check_default_folds(self) -> None:
        for key in DEALING:
            if (value := getattr(self, key)) != type(self).model_fields[key].default:
                raise InputError(
                    f"evaluation.split.{key}={value} can be set only without a split column in the data:"
                    f" set `evaluation.split.by: hash`, or remove {key}"
                )


class PlaylistDisjoint(Shown, DealtLists):
    """Holds out whole playlists with all their versions. The first tracks are shown and the rest is hidden."""

    type: str = "playlist_disjoint"

    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        return self.ordered(self.dealt(corpus, self.shown, self.seeds))

    @property
    def shows_beginnings(self) -> bool:
        return not self.shuffle_seeds
