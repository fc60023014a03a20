"""SASRec's layers against other causal ones, in the same model, on a recipe's validation playlists.

    python benchmarks/blocks.py recipes/mpd5k.yaml --set evaluation.split.valid_fraction=0.2 --seeds 0 1 2

Trains the recipe's first SASRec once a block and seed, with its settings, and compares each playlist's Recall and NDCG, averaged over
seeds, with the layers of SASRec: paired differences with the 95 % interval over playlists. The test part is never ranked. `hstu` is the
layer of Zhai et al. 2024 ("Actions speak louder than words", section 3) without timestamps; it stands here and not in the package
because it ranked no better. Everything lies under --work: a killed run goes on with what is not trained yet. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any
from unittest import mock

import common
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from toolkit import recipe
from toolkit.evaluation.evaluator import evaluate
from toolkit.evaluation.statistics import paired_differences
from toolkit.ingest.read import ingest
from toolkit.pipeline import order, systems
from toolkit.pipeline.systems import Material
from toolkit.progress import Reporter
from toolkit.ranker import TrainingData
from toolkit.recipe import ModelSpec, Recipe
from toolkit.runs import RunDirectory
from toolkit.sequential import ranker
from toolkit.sequential.models import MultimodalSASRec


def _heads(hidden: torch.Tensor, heads: int) -> torch.Tensor:
    """[B, T, H] -> [B, heads, T, H / heads]."""
    return hidden.unflatten(-1, (heads, -1)).transpose(1, 2)


class HSTU(nn.Module):
    """Attention by SiLU instead of softmax, divided by the length, with a bias a distance, gated by the track itself."""

    def __init__(self, hidden: int, heads: int, length: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.after = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.wide, self.out = nn.Linear(hidden, 4 * hidden), nn.Linear(hidden, hidden)
        self.distance = nn.Parameter(torch.zeros(heads * (length + 1)))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        gate, value, query, key = F.silu(self.wide(self.before(hidden))).chunk(4, -1)
        place = torch.arange(hidden.shape[1])
        apart = place[:, None] - place
        bias = self.distance.view(self.heads, -1)[:, apart.clamp(min=0)]
        scores = _heads(query, self.heads) @ _heads(key, self.heads).transpose(-1, -2) * (hidden.shape[-1] / self.heads) ** -0.5
        shares = F.silu(scores + bias) * (apart >= 0) / (place[:, None] + 1)
        mixed = (shares @ _heads(value, self.heads)).transpose(1, 2).flatten(2)
        return hidden + F.dropout(self.out(self.after(mixed) * gate), self.dropout, self.training)


class _Changed(MultimodalSASRec):
    """SASRec with other layers between its embedding and its head, and a LayerNorm after them."""

    block: Any

    def _attach(self: Any, parts: Any) -> None:
        sizes = (self.hidden_size, self.n_heads, self.max_seq_length, self.inner_size, self.dropout.p)
        self.trm_encoder = nn.ModuleList(self.block(*sizes) for _ in range(self.n_layers))
        self.last_norm = nn.LayerNorm(self.hidden_size)
        super()._attach(parts)

    def last_layer(self: Any, inputs: torch.Tensor, titles: torch.Tensor | None, keys: torch.Tensor | None = None) -> torch.Tensor:
        hidden = self.embed(self, inputs, titles)
        for layer in self.trm_encoder:
            hidden = layer(hidden)
        return self.last_norm(hidden)  # type: ignore[no-any-return]


BLOCKS: dict[str, Any] = {
    "sasrec": MultimodalSASRec,
    "hstu": type("HSTUModel", (_Changed,), {"block": HSTU}),
}


def material(chosen: Recipe, work: Path) -> Material:
    """Corpus, content and split of a recipe; nothing of a run is written but its cache."""
    context = order.context_of(chosen, RunDirectory(work / "run"), work / "cache", Reporter())
    ingested = ingest(chosen.data, context.cache, reporter=context.reporter, described=bool(chosen.encoders))
    return order.gathered(context, ingested, systems.systems(context))[0]


def trained(block: str, seed: int, chosen: Recipe, spec: ModelSpec, made: Material, work: Path) -> dict[str, np.ndarray]:
    """Values of each validation playlist by metric, and what the training took; kept in a file."""
    path = work / f"{block}-{seed}.npz"
    if not path.exists():
        content = {name: made.modalities[name] for name in spec.inputs(chosen.fusion, chosen.encoders)}
        began = time.process_time()
        with mock.patch.object(ranker, "MultimodalSASRec", BLOCKS[block]):
            fitted = ranker.SequentialRanker(spec, chosen.fusion).fit(TrainingData(made.split.train, made.split.valid, content, seed=seed))
        took = time.process_time() - began
        weights = sum(parameter.numel() for parameter in fitted.model.trm_encoder.parameters())
        best = max(range(len(fitted.curve)), key=lambda row: fitted.curve[row][spec.select]) + 1
        about = {"seconds": took, "epochs": len(fitted.curve), "best": best, "weights": weights, "underfit": fitted.underfit}
        np.savez(path, about=json.dumps(about), **_values(fitted, made, chosen))
        print(f"{block} seed {seed}: {about}", flush=True)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _values(fitted: ranker.SequentialRanker, made: Material, chosen: Recipe) -> dict[str, np.ndarray]:
    asked, counts = chosen.evaluation, made.split.train.counts()
    scores = evaluate(fitted, made.split.valid, ks=asked.k, metrics=asked.metrics, train_counts=counts)
    return {f"{metric}@{k}": values for (slice_, metric, k), values in scores.values.items() if slice_ == "all"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
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
    for block in BLOCKS:
        found = [trained(block, seed, chosen, spec, made, given.work) for seed in given.seeds]
        names = [name for name in found[0] if name != "about"]
        values[block] = np.mean([np.stack([one[name] for name in names], 1) for one in found], axis=0)
        differences = paired_differences(values[block], values["sasrec"], groups, seed=0, samples=10_000)
        about = [json.loads(str(one["about"])) for one in found]
        for place, (name, apart) in enumerate(zip(names, differences, strict=True)):
            row = {"block": block, "metric": name, "value": float(values[block][:, place].mean()), "lists": apart.n}
            row |= {"seeds": [float(one[name].mean()) for one in found], "training": about}
            row |= {"difference": apart.value, "ci_low": apart.low, "ci_high": apart.high, "p": apart.p} if block != "sasrec" else {}
            rows.append(row)
            against = f"  difference {apart.value:+.4f} [{apart.low:+.4f}, {apart.high:+.4f}]" if block != "sasrec" else ""
            print(f"{block:>8} {name:>11} {row['value']:.4f}{against}", flush=True)
    changed = [override for override in given.set if not override.startswith("data.path=")]
    result = {"race": "blocks", "recipe": given.recipe.name, "set": changed, "seeds": given.seeds, "rows": rows}
    result["machine"] = common.machine()
    print(json.dumps(result))


if __name__ == "__main__":
    main()
