"""SASRec against other causal models of the door `segue.models`, on a recipe's validation playlists.

    python benchmarks/blocks.py recipes/mpd5k.yaml --set evaluation.split.valid_fraction=0.2 --seeds 0 1 2 \
        --blocks hstu ligr

Trains the recipe's first SASRec, and with its settings each of --blocks (names, or module:Class), once a seed. Compares
each playlist's Recall and NDCG, averaged over seeds, with those of SASRec: paired differences with the 95 % interval
over playlists. The test part is never ranked. Everything is kept under --work: a killed run resumes with what is not
trained yet. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import common
import numpy as np
import torch

from toolkit import plugins, recipe
from toolkit.evaluation.early_stopping import merits
from toolkit.evaluation.evaluator import evaluate
from toolkit.evaluation.significance import paired_differences
from toolkit.pipeline.run import systems
from toolkit.pipeline.run.prepare_data import prepare
from toolkit.pipeline.run.run_context import opened
from toolkit.pipeline.run.systems import Material
from toolkit.progress import Reporter
from toolkit.ranker import TrainingData
from toolkit.recipe import ModelSpec, Recipe
from toolkit.run_directory import RunDirectory
from toolkit.sequential.sequential_ranker import SequentialRanker


def of_type(block: str, spec: ModelSpec) -> ModelSpec:
    """The model called `block` with the settings of another, as far as it has them."""
    cls: type[ModelSpec] = plugins.load("segue.models", block)
    given = {name: getattr(spec, name) for name in spec.model_fields_set & set(cls.model_fields)}
    return ModelSpec.of({**given, "type": block})


def layer_weights(spec: ModelSpec) -> int:
    """Learned numbers of its layers, without items."""
    return sum(each.numel() for name, each in spec.architecture().named_parameters() if "item_embedding" not in name)


def material(chosen: Recipe, work: Path) -> Material:
    """Corpus, content and split of a recipe; nothing of a run is written but its cache."""
    with opened(chosen, RunDirectory(work / "run"), progress=Reporter(), cache=work / "cache") as context:
        return prepare(context).gather(systems.systems(context))


def trained(
    block: str, seed: int, chosen: Recipe, spec: ModelSpec, made: Material, work: Path
) -> dict[str, np.ndarray]:
    """Values of each validation playlist by metric, and what the training took; kept in a file."""
    path = work / f"{block.replace(':', '.')}-{seed}.npz"
    if not path.exists():
        content = {name: made.modalities[name] for name in spec.inputs(chosen.fusion, chosen.encoders)}
        began = time.process_time()
        data = TrainingData(made.split.train, made.split.valid, content, seed=seed)
        fitted = SequentialRanker(of_type(block, spec), spec.fusion or chosen.fusion).fit(data)
        took, weights = time.process_time() - began, layer_weights(fitted.spec)
        values = merits(fitted.curve, spec.select)
        best = values.index(max(values)) + 1
        about = {
            "seconds": took,
            "epochs": len(fitted.curve),
            "best": best,
            "weights": weights,
            "underfit": fitted.underfit,
        }
        np.savez(path, about=json.dumps(about), **_values(fitted, made, chosen))
        print(f"{block} seed {seed}: {about}", flush=True)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _values(fitted: SequentialRanker, made: Material, chosen: Recipe) -> dict[str, np.ndarray]:
    asked, counts = chosen.evaluation, made.split.train.counts()
    scores = evaluate(fitted, made.split.valid, ks=asked.k, metrics=asked.metrics, train_counts=counts)
    return {f"{metric}@{k}": values for (slice_, metric, k), values in scores.values.items() if slice_ == "all"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--blocks", nargs="+", default=["hstu"], help="names of models, or module:Class")
    parser.add_argument("--work", type=Path, default=Path("runs/blocks"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.work.mkdir(parents=True, exist_ok=True)
    chosen = recipe.load(given.recipe, given.set)
    spec = next(model for model in chosen.models if model.type == "sasrec")
    made = material(chosen, given.work)
    groups = made.split.valid.groups()
    values: dict[str, np.ndarray] = {}
    rows: list[dict[str, Any]] = []
    for block in ["sasrec", *given.blocks]:
        found = [trained(block, seed, chosen, spec, made, given.work) for seed in given.seeds]
        names = [name for name in found[0] if name != "about"]
        values[block] = np.mean([np.stack([one[name] for name in names], 1) for one in found], axis=0)
        differences = paired_differences(values[block], values["sasrec"], groups, seed=0, samples=10_000)
        about = [json.loads(str(one["about"])) for one in found]
        for place, (name, apart) in enumerate(zip(names, differences, strict=True)):
            row = {"block": block, "metric": name, "value": float(values[block][:, place].mean()), "lists": apart.n}
            row |= {"seeds": [float(one[name].mean()) for one in found], "training": about}
            row |= (
                {"difference": apart.value, "ci_low": apart.low, "ci_high": apart.high, "p": apart.p}
                if block != "sasrec"
                else {}
            )
            rows.append(row)
            against = (
                f"  difference {apart.value:+.4f} [{apart.low:+.4f}, {apart.high:+.4f}]" if block != "sasrec" else ""
            )
            print(f"{block:>8} {name:>11} {row['value']:.4f}{against}", flush=True)
    changed = [override for override in given.set if not override.startswith("data.path=")]
    result = {"race": "blocks", "recipe": given.recipe.name, "set": changed, "seeds": given.seeds, "rows": rows}
    result["machine"] = common.machine()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
