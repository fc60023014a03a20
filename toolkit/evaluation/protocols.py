"""From a recipe's `evaluation` section to training, validation and test playlists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from toolkit import recipe
from toolkit.corpus import cold_splits, splits, time_split
from toolkit.corpus.arrays import Corpus
from toolkit.errors import InputError
from toolkit.evaluation import leaks, published, shown, situations
from toolkit.evaluation.leaks import check_disjoint as check_disjoint
from toolkit.recipe.evaluation import COLD


def split(corpus: Corpus, evaluation: recipe.Evaluation, given: Sequence[str | None] | None = None) -> splits.Split:
    """The split that `evaluation` asks for, checked for leaks.

    given: what the field `evaluation.split.field` says of each track, where it is named.
    Raises `InputError` where a part is empty and `LeakError` where something hidden could be learned or chosen on: a placement, a
    playlist or a version of it, a cold track or its artist on both sides, a placement after the cut in training.
    """
    if evaluation.protocol in COLD:
        return _cold(corpus, evaluation, given)
    parts = _split(corpus, evaluation)
    if evaluation.protocol != "leave_last_out" and evaluation.equal_lists == "drop":
        parts, _ = leaks.without_copies(parts)
    if evaluation.protocol == "global_time":
        leaks.check_in_time(parts)
    else:
        leaks.check(parts, disjoint=evaluation.protocol != "leave_last_out")
    if evaluation.protocol == "mpd_challenge":
        parts = situations.challenge(parts, evaluation.situations)
    if evaluation.faults:
        parts = published.with_faults(parts, evaluation.faults)
    if evaluation.shuffle_seeds:
        parts = replace(parts, valid=shown.shuffled(parts.valid), test=shown.shuffled(parts.test))
    return parts


def _split(corpus: Corpus, evaluation: recipe.Evaluation) -> splits.Split:
    if evaluation.protocol == "leave_last_out":
        return splits.leave_last_out(corpus)
    if evaluation.protocol == "global_time":
        return _by_time(corpus, evaluation)
    _check_deal(corpus, evaluation.split)
    return splits.playlist_disjoint(
        corpus,
        shown=evaluation.shown,
        seeds=0 if evaluation.protocol == "mpd_challenge" else evaluation.seeds,
        min_tracks=evaluation.min_tracks,
        by=evaluation.split.by,
        folds=evaluation.split.folds,
        test_fold=_fold(evaluation.split),
        valid_fraction=evaluation.split.valid_fraction,
    )


def _fold(given: recipe.SplitSpec) -> int:
    if isinstance(given.test_fold, str):
        rule = "is for `segue run` and `segue bench`, a run for each fold"
        raise InputError(f"evaluation.split.test_fold=all {rule}: name one, 0 to {given.folds - 1}")
    return given.test_fold


def _check_deal(corpus: Corpus, given: recipe.SplitSpec) -> None:
    """Raise `InputError` where folds are asked for and the data's own split is what counts."""
    if given.by == "auto" and splits.by_column(corpus):
        default = recipe.SplitSpec()
        for key in ("folds", "test_fold", "valid_fraction"):
            if (value := getattr(given, key)) != getattr(default, key):
                rule = "is for playlists dealt by hash, and the data says of each whether it is train, valid or test"
                raise InputError(f"evaluation.split.{key}={value} {rule}: set evaluation.split.by: hash, or take it out")


def _by_time(corpus: Corpus, evaluation: recipe.Evaluation) -> splits.Split:
    return time_split.global_time(
        corpus,
        valid_from=evaluation.split.valid_from,
        test_from=evaluation.split.test_from,
        shown=evaluation.shown,
        seeds=evaluation.seeds,
        min_tracks=evaluation.min_tracks,
        new_playlists=evaluation.new_playlists,
    )


def _cold(corpus: Corpus, evaluation: recipe.Evaluation, given: Sequence[str | None] | None) -> splits.Split:
    parts, by_artist = evaluation.split, evaluation.protocol == "artist_disjoint"
    if given is not None:
        made = cold_splits.prescribed(corpus, given, min_tracks=evaluation.min_tracks)
    else:
        made = (cold_splits.artist_disjoint if by_artist else cold_splits.item_cold)(
            corpus,
            folds=parts.folds,
            test_fold=_fold(parts),
            valid_fraction=parts.valid_fraction,
            min_tracks=evaluation.min_tracks,
        )
    cold_splits.check_cold(made, artists=by_artist)
    return made
