"""Order of the epochs of a training, by which the best epoch is chosen and patience is counted.

A validation metric that counts hits among the first k is not informative while there are almost no hits, because a
single hit decides. With 42 playlists and a large catalogue, many epochs have 0, 1 or 2 hits, although the model learns.
An epoch with few hits is therefore judged by the mean log rank of the hidden tracks. It changes whenever a hidden track
changes its rank. See `toolkit.evaluation.log_rank`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

FEW_HITS = 50
"""An epoch with fewer hits is judged by `log_rank`: the relative standard error of h hits is about 1 / sqrt(h)."""


def counted(hits: int, log_rank: float | None) -> dict[str, float]:
    """Return what `merits` requires of an epoch besides its metric: `hits`, and `log_rank` if they are few.

    - hits: number of hidden tracks among the first k of the metric, over all validation playlists.
    - log_rank: mean log rank of the hidden tracks, or None if the ranker knows none of them.
    """
    return {"hits": hits} | ({"log_rank": log_rank} if hits < FEW_HITS and log_rank is not None else {})


def merits(rows: Sequence[Mapping[str, float | None]], select: str) -> list[float]:
    """Return the value of each epoch for the choice of the best epoch, higher is better.

    - rows: a row for each epoch with the metric `select`, which is at least 0, and the values of `counted` if the
      metric counts hits.

    The value of an epoch with at least `FEW_HITS` hits is its metric. An epoch with fewer hits has a negative value,
    which increases as its `log_rank` decreases, so it is worse than every epoch with at least `FEW_HITS` hits. Without
    `log_rank` the value is the metric. If any epoch has no `hits`, as in a training that an earlier version began, the
    value of every epoch is its metric.
    """
    every = all(row.get("hits") is not None for row in rows)
    return [_merit(row, select) if every else _number(row.get(select)) for row in rows]


def _merit(row: Mapping[str, float | None], select: str) -> float:
    few, log_rank = _number(row["hits"]) < FEW_HITS, row.get("log_rank")
    return -1.0 - log_rank if few and log_rank is not None else _number(row.get(select))


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def note(name: str, rows: Sequence[Mapping[str, float]]) -> str:
    """Return a sentence for the log if the best epoch of `name` was chosen by `log_rank`, otherwise an empty text."""
    few = [row for row in rows if "log_rank" in row and row["hits"] < FEW_HITS]
    if not rows or len(few) < len(rows):
        return ""
    most = int(max(row["hits"] for row in few))
    hits = f"at most {most} validation hits in an epoch"
    return f"{name}: {hits}, so epochs are compared by the mean log rank of hidden tracks"
