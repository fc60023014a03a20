"""Printed tables of the papers on audio, their recipes, and a run with the papers' sizes on little data."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from toolkit import pipeline, run_directory
from toolkit.encoders.contract.encoder import EncoderParams
from toolkit.encoders.contract.registry import create
from toolkit.recipe import Recipe, load

ROOT = Path(__file__).parents[2]
PAPERS = ROOT / "recipes" / "papers"
COLUMNS = ["part", "row", "verdict", "difference", "recipe", "entry", "metric", "printed"]
ONE_EPOCH = {"cnn", "cnn_squared", "cnn_weighted", "dbn", "tag_network"}
LITTLE = [
    "data.options={tracks: 200, artists: 60, playlists: 80, fields: [audio, tags]}",
    "evaluation.bootstrap=20",
    "report.map=0",
]


def printed(paper: str) -> list[dict[str, str]]:
    """Return the rows of the paper's table of differences."""
    with (ROOT / "benchmarks" / "printed" / f"{paper}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def sizes(paper: str) -> dict[tuple[str, str], float]:
    """Return the sizes that the paper prints, by part and name."""
    with (ROOT / "benchmarks" / "printed" / f"{paper}_rows.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header[-1] == "value"
    return {(part, name): float(value) for part, name, value in rows}


def recipe(name: str, *overrides: str) -> Recipe:
    return load(PAPERS / name, overrides, parameters=True)


def params(of: Recipe, encoder: str) -> EncoderParams:
    """Return the parameters of an encoder with its defaults."""
    spec = of.encoders[encoder]
    return create(spec.encoder, spec.params, seed=0, device="cpu").params


def check_form(paper: str) -> None:
    """Check that verdicts, entries and printed numbers of a table have their form, and that entries exist."""
    rows = printed(paper)
    assert list(rows[0]) == COLUMNS and len({(row["part"], row["row"]) for row in rows}) == len(rows)
    for row in rows:
        assert row["verdict"] in ("faithful", "differs", "missing")
        assert (row["verdict"] == "faithful") == (row["difference"] == ""), row
        assert (row["metric"] == "") == (row["printed"] == ""), row
        if row["entry"]:
            assert row["entry"] in entries(row["recipe"]), row
        elif row["recipe"]:
            assert (PAPERS / row["recipe"]).is_file(), row


def entries(name: str) -> set[str]:
    """Return the names of the rows of a recipe."""
    of = recipe(name)
    baselines = {each if isinstance(each, str) else each.system_name for each in of.baselines}
    return {system.system_name for system in of.coldstart.systems} | baselines


def short_run(name: str, rows: set[str], folder: Path, cache: Path, *overrides: str) -> dict[str, float]:
    """Run rows of a recipe for one epoch on little data, and return their AUC on the test split."""
    of = recipe(name)
    epochs = [f"encoders.{encoder}.params.epochs=1" for encoder in of.encoders if encoder in ONE_EPOCH]
    # excerpts of one window: the sizes of the networks and of their inputs do not depend on the excerpt
    epochs += [f"encoders.{encoder}.params.seconds=3" for encoder in of.encoders]
    of = recipe(name, *LITTLE, *epochs, *overrides)
    kept = [system for system in of.coldstart.systems if system.system_name in rows]
    cold = of.coldstart.model_copy(update={"systems": kept, "tags": None, "factor_map": None})
    evaluation = of.evaluation.model_copy(update={"reference": None})
    changed = of.model_copy(update={"coldstart": cold, "evaluation": evaluation, "baselines": []})
    pipeline.run(changed, folder / "run", cache=cache)
    metrics = json.loads((folder / "run" / run_directory.METRICS).read_text())
    return {
        row["system"]: row["value"]
        for row in metrics
        if (row["metric"], row["split"], row["slice"]) == ("auc", "test", "all") and row["system"] in rows
    }
