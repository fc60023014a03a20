"""Evaluation results: metrics per playlist, means with intervals, and comparisons of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from segue.model import Model
from segue.split import HeldOutPlaylists, check_apart
from toolkit.errors import InputError
from toolkit.progress import interactive
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    import pandas as pd

    from toolkit.evaluation.evaluator import Keep, Scores
    from toolkit.progress import Progress

METRICS = ("recall@20", "recall@50", "recall@500", "ndcg@20", "ndcg@50", "ndcg@500")


@dataclass(frozen=True)
class Result:
    """Results of a model on held-out playlists, created with `evaluate`.

    ranked: ids int32 and scores float32 [n, t] of each playlist's first t tracks, padded with id 0.
    """

    system: str
    held_out: HeldOutPlaylists
    scores: Scores
    bootstrap: int = 1000
    seed: int = 0
    oracle: bool = False
    ranked: tuple[np.ndarray, np.ndarray] | None = None
    allow_repeats: bool = False

    def __repr__(self) -> str:
        means = [
            f"{metric}@{k} {np.nanmean(values):.4f}"
            for (part, metric, k), values in self.scores.values.items()
            if part == "all"
        ]
        return f"<segue.Result of {self.system} on {len(self.held_out):,} playlists: {', '.join(means)}>"

    def to_frame(self) -> pd.DataFrame:
        """Return means with 95 % intervals: system, slice, metric, k, value, ci_low, ci_high, n.

        The slices are all, warm and cold hidden tracks.
        """
        import pandas as pd

        from toolkit.evaluation import result_rows

        rows = result_rows.rows(
            self.scores,
            system=self.system,
            modalities=(),
            split="test",
            groups=self.held_out.playlists.groups(),
            bootstrap=self.bootstrap,
            seed=derived_seed(self.seed, "evaluation"),
        )
        return pd.DataFrame(rows).drop(columns=["modalities", "split"])

    def per_playlist(self) -> pd.DataFrame:
        """Return one row per playlist, slice, metric and k: playlist, group, slice, metric, k, value."""
        import pandas as pd

        from toolkit.evaluation import result_rows

        table = result_rows.frame(self.scores, self.held_out.playlists, system=self.system, split="test")
        return pd.DataFrame(table.drop(["system", "split", "row"]).to_pandas())

    def rankings(self) -> pd.DataFrame:
        """Return the stored rankings: playlist, rank (from 1), track, score, hit."""
        import pandas as pd

        from toolkit.evaluation.metrics.hits import hits

        held = self.held_out.playlists
        ids, scores = (
            self.ranked if self.ranked is not None else (np.zeros((len(held), 0), np.int32), np.zeros((len(held), 0)))
        )
        rows, ranks = np.nonzero(ids)
        names, tracks = (table["id"].to_numpy() for table in (held.corpus.playlists, held.corpus.tracks))
        columns = {"playlist": names[held.rows[rows]], "rank": ranks + 1, "track": tracks[ids[rows, ranks] - 1]}
        return pd.DataFrame({**columns, "score": scores[rows, ranks], "hit": hits(ids, *held.hidden())[rows, ranks]})


def evaluate(
    model: Model,
    held_out: HeldOutPlaylists,
    metrics: Sequence[str] = METRICS,
    *,
    rankings: int = 500,
    allow_repeats: bool = False,
    bootstrap: int = 1000,
    seed: int = 0,
    memory_mb: int = 256,
    slices: Mapping[str, np.ndarray] | None = None,
    keep: Keep | None = None,
    progress: Progress | None = None,
) -> Result:
    """Rank the whole catalogue for every playlist, except its seeds, and measure the ranks of the hidden tracks.

    - metrics: names listed by `segue list metrics` with a cutoff, such as `recall@20`. Metrics without a cutoff are
      written as `auc`, and your own classes as `my_ideas:HitRate@20`.
    - rankings: number of tracks to store per ranking.
    - allow_repeats: whether seeds may be ranked.
    - bootstrap, seed: number of bootstrap samples for the intervals, and the random seed.
    - memory_mb: bound on the memory for scores, in MB.
    - slices: further slices of the hidden tracks by name, bool [V + 1].
    - keep: function that receives the rankings block by block instead of storing them in the result.

    Raises `InputError` for an unknown metric and for a model with a different catalogue.

    Example:
        >>> import segue
        >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200)
        >>> split = data.split()
        >>> result = segue.evaluate(segue.ItemKNN().fit(split.train), split.test, ["recall@20"])
        >>> result.to_frame().columns.tolist()
        ['system', 'slice', 'metric', 'k', 'value', 'ci_low', 'ci_high', 'n']
    """
    from toolkit.evaluation import evaluator

    _check_evaluation(model, held_out)
    parsed = _parsed(metrics)
    for name, value, least in (("rankings", rankings, 0), ("bootstrap", bootstrap, 10)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InputError(f"{name}={value!r} must be an integer >= {least}")
    ks = list(dict.fromkeys(k for _, k in parsed if k)) or [1]
    kept_ids: list[np.ndarray] = []
    kept_scores: list[np.ndarray] = []

    def collect(start: int, ids: np.ndarray, ranked_scores: np.ndarray) -> None:
        kept_ids.append(ids.astype(np.int32))
        kept_scores.append(ranked_scores.astype(np.float32))

    scores = evaluator.evaluate(
        model.ranker,
        held_out.playlists,
        ks=ks,
        metrics=list(dict.fromkeys(name for name, _ in parsed)),
        train_counts=held_out.train.counts,
        allow_repeats=allow_repeats,
        memory_mb=memory_mb,
        parts=slices,
        top=rankings,
        keep=keep or collect,
        progress=progress or interactive(),
    )
    kept = {key: values for key, values in scores.values.items() if (key[1], key[2]) in parsed}
    ranked = (np.concatenate(kept_ids), np.concatenate(kept_scores)) if kept_ids else None
    overall = {key: value for key, value in scores.overall.items() if key in parsed}
    return Result(
        model.name,
        held_out,
        replace(scores, values=kept, overall=overall),
        bootstrap,
        seed,
        model.ranker.capabilities.oracle,
        ranked,
    )


def compare(reference: Result, *others: Result) -> pd.DataFrame:
    """Compare results with a reference by paired differences (other minus reference) over the same playlists.

    Columns: system, reference, slice, metric, k, difference, ci_low, ci_high; p by `test` (bootstrap, or sign flips for
    few playlists) and p_t (paired t-test); p_floor, the smallest possible p; p_holm and p_t_holm, with Holm's
    correction for multiple comparisons; detectable; n, the number of playlists, and independent, the number of
    independent ones. Only metrics shared by all results are compared. Raises `InputError` for results on different
    playlists.

    Example:
        >>> import segue
        >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200)
        >>> split = data.split()
        >>> models = [segue.ItemKNN(), segue.Popularity()]
        >>> results = [segue.evaluate(model.fit(split.train), split.test, ["ndcg@20"]) for model in models]
        >>> segue.compare(*results)["system"].unique().tolist()
        ['popularity']
    """
    import pandas as pd

    from toolkit.evaluation import result_rows

    if not others:
        raise InputError("compare requires at least two results: pass the reference and other results")
    if any(not isinstance(each, Result) for each in (reference, *others)):
        raise InputError("compare requires results, not models: pass values returned by segue.evaluate")
    if any(not _same(reference, each) for each in others):
        raise InputError(
            "compare requires results on the same playlists: evaluate all models on the same part of a split, with the"
            " same settings"
        )
    shared = set(reference.scores.values).intersection(*(each.scores.values for each in others))
    if not shared:
        raise InputError("compare requires a common metric: evaluate all models with the same metrics")
    names = [each.system for each in (reference, *others)]
    if len(set(names)) < len(names):
        raise InputError(
            f"result names must be unique, but {max(names, key=names.count)!r} is used twice: set name= of the models"
        )
    scores = {
        each.system: replace(
            each.scores, values={key: values for key, values in each.scores.values.items() if key in shared}
        )
        for each in (reference, *others)
    }
    rows = result_rows.comparisons(
        scores,
        reference.system,
        groups=reference.held_out.playlists.groups(),
        bootstrap=reference.bootstrap,
        seed=derived_seed(reference.seed, "evaluation"),
        oracles=[each.system for each in (reference, *others) if each.oracle],
    )
    return pd.DataFrame(rows)


def with_cutoffs(metrics: Sequence[str], ks: Sequence[int]) -> list[str]:
    """Return metric names for `evaluate`, with each cutoff in `ks` for metrics that have a cutoff."""
    from toolkit.contracts.metric import named

    return [text for name in metrics for text in ([f"{name}@{k}" for k in ks] if named(name).cutoff == "k" else [name])]


def _same(first: Result, second: Result) -> bool:
    """Return whether two results share playlists, seeds, hidden tracks and settings."""
    ours, theirs = first.held_out, second.held_out
    if ours is not theirs:
        spans = ("rows", "starts", "cuts", "ends")
        if any(not np.array_equal(getattr(ours.playlists, name), getattr(theirs.playlists, name)) for name in spans):
            return False
        if ours.data.corpus is not theirs.data.corpus and ours.data.hash != theirs.data.hash:
            return False
    return first.allow_repeats == second.allow_repeats


def _parsed(metrics: Sequence[str]) -> list[tuple[str, int]]:
    if isinstance(metrics, str) or not isinstance(metrics, Sequence) or not metrics:
        raise InputError(f"metrics={metrics!r} must be a list of names, such as ['recall@20', 'ndcg@20']")
    return [_metric(text) for text in metrics]


def _metric(text: str) -> tuple[str, int]:
    from toolkit.contracts.metric import named

    if not isinstance(text, str):
        raise InputError(
            f"metric {text!r} must be a string: write a name as 'recall@20' and a class as 'module:Class@20'"
        )
    name, _, k = text.partition("@")
    cut = named(name).cutoff == "k"
    if cut and not (k.isdecimal() and int(k) >= 1):
        raise InputError(f"metric {text!r} requires a cutoff: write {name}@20, for example")
    if k and not cut:
        raise InputError(f"metric {text!r} must not have a cutoff: write {name}")
    return name, int(k or 0)


def _check_evaluation(model: object, held: object) -> None:
    """Raise `InputError` for wrong arguments, and `LeakError` if the model was fitted to hidden tracks."""
    if not isinstance(model, Model):
        raise InputError(
            f"model must be a fitted model, not {getattr(model, '__name__', type(model).__name__)}: call fit()"
        )
    if not isinstance(held, HeldOutPlaylists):
        raise InputError(
            f"held_out must be held-out playlists, not {type(held).__name__}: pass split.valid or split.test"
        )
    if model.tracks["id"] != held.data.corpus.tracks["id"]:
        raise InputError(
            f"{model.name} must be fitted to the catalogue of the playlists: fit the model to a split of the same data"
        )
    if model.train is not None:
        check_apart(model.train, held)
