"""Training SASRec against RecBole's: targets a second, exact cross-entropy (float32, bfloat16) and sampled.

    python benchmarks/train_sasrec.py [--quick] [--tracks N] [--playlists N]

Peer: RecBole 1.2.1's SASRec under its own trainer and defaults (rows of 2,048 prefixes, hidden 64, two layers),
autograd's anomaly
detection off: the faster of the two ways, and the one that ratios are against. Also printed: as it ships, with anomaly
detection on, with its best settings (larger batch, enable_amp), and with freed memory kept for the next step, which our
stock baselines do for it.
Check: the loss of the same weights on the same rows. Bars: 5x in float32, 9x in bfloat16, 60x sampled. One JSON line
for each, last.
"""

from __future__ import annotations

import argparse
from typing import Any

import common
import numpy as np
import sequences
import torch

from toolkit.corpus.splits import PlaylistSet
from toolkit.devices import has_bf16
from toolkit.sequential.losses import softmax_cross_entropy
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.prefix_rows import loaders
from toolkit.sequential.training.batches import batches

SAMPLED = {
    "loss": {"type": "sampled", "negatives": 1024, "batch_negatives": False},
    "windows": "disjoint",
    "bf16": "off",
}
EXACT = {"loss": "chunked", "windows": "disjoint"}


def same_loss(ours: sequences.OurSteps, train: PlaylistSet, *, device: str) -> dict[str, float]:
    """RecBole's loss on every prefix row of a few playlists that fit its window, ours on the same targets in one
    pass."""
    few = np.flatnonzero(train.lengths <= 50)[:24]
    part = PlaylistSet(train.corpus, train.rows[few], train.starts[few], train.ends[few])
    config = bridge.config("SASRec", settings={"train_batch_size": 4096}, device=device)
    stock = bridge.SASRec(config, bridge.CatalogueSize(train.corpus.n_items)).to(device)
    stock.load_state_dict(ours.model.state_dict())
    (rows,) = loaders(config, part, None)[0]
    (batch,) = batches(part, max_length=50, tokens=4096, shuffle=False, rng=np.random.default_rng(0))
    items, scored = (torch.from_numpy(each).to(device) for each in (batch.inputs, batch.scored))
    found: dict[str, float] = {}
    with torch.no_grad():
        stock.eval(), ours.model.eval()
        found["recbole"] = float(stock.calculate_loss(rows.to(device)))
        for name, low in (("float32", False), ("bfloat16", True)):
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=low):
                step = ours.model.objective.step(items, scored)
            found[name] = float(
                softmax_cross_entropy.chunked(step.scores, step.targets, compute=torch.bfloat16 if low else None)
            )
    assert len(step.targets) == len(rows), "the two sides score other rows"
    assert abs(found["float32"] - found["recbole"]) <= 1e-5 * max(1.0, found["recbole"]), found
    assert abs(found["bfloat16"] - found["recbole"]) <= 1e-2 * found["recbole"], found
    return found


def speed(given: argparse.Namespace) -> None:
    train = sequences.playlists(given.tracks, given.playlists)
    print(f"{len(train)} playlists, {int(train.lengths.sum())} placements, {given.tracks} tracks", flush=True)
    best = {"train_batch_size": 2048 if given.quick else 4096, "enable_amp": True}
    peers = {
        "recbole": sequences.RecboleSteps("SASRec", train, device=given.device),
        "shipped": sequences.RecboleSteps("SASRec", train, device=given.device, shipped=True),
        "best": sequences.RecboleSteps("SASRec", train, device=given.device, **best),
        "kept": sequences.RecboleSteps("SASRec", train, device=given.device, kept=True),
    }
    dropout = peers["recbole"].config["hidden_dropout_prob"]
    kinds: dict[str, tuple[dict[str, Any], int]] = {"fp32": ({**EXACT, "bf16": "off"}, 1), "sampled": (SAMPLED, 20)}
    if has_bf16(given.device):
        kinds["bf16"] = ({**EXACT, "bf16": "on"}, 1)
    ours = {
        name: (sequences.OurSteps("SASRec", train, spec, device=given.device, dropout=dropout), n)
        for name, (spec, n) in kinds.items()
    }
    check = same_loss(ours["fp32"][0], train, device=given.device)
    sides = {name: (side, 1) for name, side in peers.items()} | ours
    data = {"tracks": given.tracks, "playlists": given.playlists, "placements": int(train.lengths.sum())}
    bars = {"fp32": 5, "bf16": 9, "sampled": 60}
    sequences.run("train_sasrec", given, sides, bars, check, "same rows, same weights", best_settings=best, data=data)


def main() -> None:
    options = sequences.options(__doc__)
    given = options.parse_args()
    common.start(given)
    speed(given)


if __name__ == "__main__":
    main()
