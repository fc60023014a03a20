"""Coverage of 95 % intervals, and claims of differences between equal systems, with few playlists.

    python benchmarks/interval_coverage.py --save

The population is real: Recall@50 of item-kNN on the 927 test playlists of playlists-mpd5k, its difference from
popularity, and Recall@10 of popularity, which is zero for most playlists. From each, samples of n playlists are drawn
with replacement many times. The true mean is that of the population. For claims, the differences are centred, so both
systems are equal. Compared are the percentile bootstrap, BCa, the t interval, and what `segue` reports. --save rewrites
the tables of docs/significance.md.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import common
import numpy as np
from scipy import stats

import segue
from toolkit.evaluation.significance import paired_differences
from toolkit.evaluation.statistics import Sample, _bca, mean_intervals

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "playlists-mpd5k"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "significance.md"
SIZES = (3, 4, 5, 7, 10, 15, 20, 30, 50)
SAMPLES = 1999
Bounds = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def populations() -> dict[str, np.ndarray]:
    """Values of each test playlist."""
    data = segue.read_playlists(SHARED / "playlists.csv.gz", position="pos")
    split = data.split(by="hash")
    values = {}
    for model in (segue.ItemKNN(), segue.Popularity()):
        frame = segue.evaluate(model.fit(split.train), split.test, ["recall@10", "recall@50"]).per_playlist()
        for k in (10, 50):
            chosen = frame[(frame.slice == "all") & (frame.k == k)].sort_values("playlist")
            values[model.name, k] = chosen.value.to_numpy()
    return {
        "Recall@50 of item-kNN": values["item-knn", 50],
        "difference from popularity": values["item-knn", 50] - values["popularity", 50],
        "Recall@10 of popularity": values["popularity", 10],
    }


def percentile(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    drawn = Sample.of(values, np.arange(len(values))).draws(seed=0, samples=SAMPLES)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return low, high


def bca(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    sample = Sample.of(values, np.arange(len(values)))
    low, high = _bca(sample, sample.draws(seed=0, samples=SAMPLES))
    return low, high


def student(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return values.mean(axis=0) - half, values.mean(axis=0) + half


def of_segue(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low = -1.0 if (values < 0).any() else 0.0
    found = mean_intervals(
        values, np.arange(len(values)), seed=0, samples=SAMPLES, ranges=[(low, 1.0)] * values.shape[1]
    )
    return np.array([each.low for each in found]), np.array([each.high for each in found])


METHODS: dict[str, Bounds] = {"percentile bootstrap": percentile, "BCa": bca, "t": student, "segue": of_segue}


def coverage(population: np.ndarray, repetitions: int) -> list[dict[str, Any]]:
    rows = []
    for n in SIZES:
        values = np.random.default_rng(n).choice(population, (n, repetitions))
        row: dict[str, Any] = {"n": n}
        for name, method in METHODS.items():
            low, high = method(values)
            inside = (low <= population.mean() + 1e-12) & (population.mean() - 1e-12 <= high)
            row[name] = round(float(inside.mean()), 3)
        rows.append(row)
    return rows


def false_claims(population: np.ndarray, repetitions: int) -> list[dict[str, Any]]:
    """Shares of p < .05 for two equal systems: by the percentile bootstrap alone, by t, and by all that segue needs."""
    centred, rows = population - population.mean(), []
    for n in SIZES:
        values = np.random.default_rng(n).choice(centred, (n, repetitions))
        drawn = Sample.of(values, np.arange(n)).draws(seed=0, samples=SAMPLES)
        tails = np.minimum((drawn <= 0).sum(axis=0), (drawn >= 0).sum(axis=0))
        bootstrap = np.minimum(1, 2 * (tails + 1) / (SAMPLES + 1)) < 0.05
        found = paired_differences(
            values, np.zeros_like(values), np.arange(n), seed=0, samples=SAMPLES, ranges=[(-1, 1)] * repetitions
        )
        claimed = [max(each.p, each.p_t) < 0.05 and not each.low <= 0 <= each.high for each in found]
        shares = {"bootstrap alone": bootstrap, "t alone": [each.p_t < 0.05 for each in found], "segue": claimed}
        rows.append({"n": n} | {name: round(float(np.mean(each)), 3) for name, each in shares.items()})
    return rows


def markdown(result: Mapping[str, Any]) -> str:
    lines = []
    for title, rows in result["tables"].items():
        names = [name for name in rows[0] if name != "n"]
        lines += [f"**{title}**", "", f"| playlists | {' | '.join(names)} |", f"|--:|{'--:|' * len(names)}"]
        lines += [
            f"| {row['n']} | " + " | ".join(f"{row[name]:.3f}".removeprefix("0") for name in names) + " |"
            for row in rows
        ]
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    given = common.parser(__doc__).parse_args()
    common.start(given)
    repetitions = 500 if given.quick else 5_000
    made = populations()
    tables = {f"Coverage, {name}": coverage(values, repetitions) for name, values in made.items()}
    tables["Equal systems called different"] = false_claims(made["difference from popularity"], repetitions // 5)
    result = {"race": "interval_coverage", "repetitions": repetitions, "tables": tables, **common.machine("cpu")}
    print(markdown(result))
    if given.save:
        common.RESULTS.joinpath("interval_coverage-cpu.json").write_text(json.dumps(result, indent=1) + "\n")
        block = f"<!-- coverage -->\n{markdown(result)}<!-- end of coverage -->"
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(
            re.sub(r"<!-- coverage -->.*<!-- end of coverage -->", lambda _: block, page, flags=re.S), encoding="utf-8"
        )
    print(json.dumps(result))


if __name__ == "__main__":
    main()
