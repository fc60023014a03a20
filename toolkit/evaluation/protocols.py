"""From a recipe's `evaluation` section to training, validation and test playlists."""

from __future__ import annotations

import numpy as np

from toolkit import recipe
from toolkit.corpus import splits
from toolkit.corpus.arrays import Corpus
from toolkit.errors import SegueError


def split(corpus: Corpus, evaluation: recipe.Evaluation) -> splits.Split:
    """The split that `evaluation` asks for, checked for leaks.

    Raises `InputError` where a part is empty and `SegueError` where versions
    of one playlist stand on both sides.
    """
    if evaluation.protocol == "leave_last_out":
        return splits.leave_last_out(corpus)
    parts = splits.playlist_disjoint(
        corpus,
        shown=evaluation.shown,
        seeds=evaluation.seeds,
        min_tracks=evaluation.min_tracks,
        by=evaluation.split.by,
        folds=evaluation.split.folds,
        test_fold=evaluation.split.test_fold,
        valid_fraction=evaluation.split.valid_fraction,
    )
    check_disjoint(parts)
    return parts


def check_disjoint(parts: splits.Split) -> None:
    """Raise `SegueError`, naming one, where a playlist or a version of it is in two parts of the split."""
    sides = {"train": parts.train.rows, "valid": parts.valid.rows, "test": parts.test.rows}
    groups = parts.train.corpus.groups
    for first, second in (("train", "test"), ("train", "valid"), ("valid", "test")):
        shared = np.intersect1d(groups[sides[first]], groups[sides[second]])
        if len(shared):
            raise SegueError(_leak(parts, first, sides[first], second, sides[second], int(shared[0]), len(shared)))


def _leak(parts: splits.Split, first: str, first_rows: np.ndarray, second: str, second_rows: np.ndarray, group: int, count: int) -> str:
    corpus = parts.train.corpus
    lists = [corpus.playlists["id"][int(rows[corpus.groups[rows] == group][0])].as_py() for rows in (first_rows, second_rows)]
    return (
        f"the split leaks: {lists[0]!r} in {first} and {lists[1]!r} in {second} are versions of one playlist"
        f" ({count} such playlists): give both the same split, or set evaluation.split.by: hash"
    )
