"""Content against ids, every playlist tested once: `folds` runs of a recipe and one paired comparison over all of them.

    python benchmarks/folds.py recipes/spa.yaml --set data.path=../shared/data/playlists-spa --out runs/spa-folds

Playlists are dealt to folds by a hash of their group, so that all versions of one
are tested together; each fold is a run directory of its own and a killed script
goes on where it stopped. Differences are resampled over playlists (groups), not
over lists. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from common import RESULTS, machine

from toolkit import pipeline, recipe
from toolkit.evaluation.statistics import paired_difference
from toolkit.progress import PlainReporter


def run_folds(path: Path, overrides: list[str], out: Path, folds: int, systems: set[str]) -> pa.Table:
    """Per-playlist values of the test parts of all folds, one after the other; models other than `systems` are left out."""
    tables = []
    for fold in range(folds):
        deal = ["evaluation.split.by=hash", f"evaluation.split.folds={folds}", f"evaluation.split.test_fold={fold}"]
        directory = out / f"fold-{fold}"
        whole = recipe.load(path, overrides + deal)
        models = [model for model in whole.models if model.system_name(whole.fusion, whole.encoders) in systems]
        pipeline.run(whole.model_copy(update={"models": models}), directory, progress=PlainReporter())
        tables.append(pq.read_table(directory / "per_playlist.parquet", filters=[("split", "=", "test"), ("slice", "=", "all")]))
    return pa.concat_tables(tables)


def compare(table: pa.Table, system: str, reference: str, metric: str, k: int) -> dict[str, float | str | int | None]:
    """`system` less `reference` on the playlists of all folds, with the 95 % interval over groups."""
    frame = table.to_pandas()
    frame = frame[(frame.metric == metric) & (frame.k == k)]
    wide = frame.pivot(index=["playlist", "group"], columns="system", values="value").dropna(subset=[system, reference])
    groups = wide.index.get_level_values("group").factorize()[0]
    found = paired_difference(wide[system].to_numpy(), wide[reference].to_numpy(), groups, seed=0, samples=10_000)
    return {
        "metric": f"{metric}@{k}",
        "system": system,
        "reference": reference,
        "lists": len(wide),
        "playlists": int(groups.max()) + 1,
        "system_mean": float(wide[system].mean()),
        "reference_mean": float(wide[reference].mean()),
        "difference": found.value,
        "ci_low": found.low,
        "ci_high": found.high,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("runs/folds"))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--system", default="sasrec-multimodal")
    parser.add_argument("--reference", nargs="+", default=["sasrec-ids", "item-knn"], help="rows of the same runs to compare with")
    parser.add_argument("--save", action="store_true", help="keep the result under benchmarks/results")
    given = parser.parse_args()
    table = run_folds(given.recipe, given.set, given.out, given.folds, {given.system, *given.reference})
    metrics = sorted({(row["metric"], row["k"]) for row in table.select(["metric", "k"]).to_pylist()})
    rows = [compare(table, given.system, reference, metric, k) for reference in given.reference for metric, k in metrics]
    for row in rows:
        print(
            "{metric:>12}  {system} {system_mean:.4f}  {reference} {reference_mean:.4f}  "
            "difference {difference:+.4f} [{ci_low:+.4f}, {ci_high:+.4f}]  {lists} lists of {playlists} playlists".format(**row)
        )
    changed = [override for override in given.set if not override.startswith("data.path=")]
    result = {"race": "folds", "recipe": given.recipe.name, "set": changed, "folds": given.folds, "rows": rows, "machine": machine()}
    if given.save:
        (RESULTS / f"folds-{given.recipe.stem}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
