"""Training BERT4Rec against RecBole's: masked targets a second with the exact cross-entropy, float32 and bfloat16.

    python benchmarks/train_bert4rec.py [--quick] [--tracks N] [--playlists N]

Peer: RecBole 1.2.1's BERT4Rec under its own trainer, masking in its loader included, autograd's anomaly detection off.
Its rows are
256 a step, at which it is fastest: of its default, 2,048, a step takes 19 GB and gives fewer targets a second. Half of
its batches hide a row's last track alone (`ft_ratio: 0.5`), with a sixth of the targets; also printed are its best
settings, without those and with enable_amp, with freed memory kept for the next step, which our stock baselines do for
it, and the defaults as it ships. A target is a masked track that enters the loss. Ours takes 16,384 positions a step, a
tenth of RecBole's default. Check: the loss of the same weights under the stock mask. Bars: 6x in float32, 8x in
bfloat16. One JSON line for each, last.
"""

from __future__ import annotations

from typing import Any
from unittest import mock

import common
import sequences
import torch

from toolkit.corpus.splits import PlaylistSet
from toolkit.devices import has_bf16
from toolkit.sequential.losses import softmax_cross_entropy
from toolkit.sequential.training.objectives import Masked

EXACT = {"loss": "chunked", "windows": "disjoint", "batch_tokens": 16_384}
BEST = {"ft_ratio": 0.0, "enable_amp": True}


def same_loss(ours: sequences.OurSteps, train: PlaylistSet, *, device: str) -> dict[str, float]:
    """RecBole's loss on a batch of its own, and ours where the same tracks are masked.

    Rows with a mask at position 0, which RecBole leaves out of its loss, or with more masks than it has slots for are
    left out.
    """
    peer = sequences.RecboleSteps("BERT4Rec", train, device=device, train_batch_size=256)
    peer.model.load_state_dict(ours.model.state_dict())
    peer.model.eval(), ours.model.eval()
    batch = next(iter(peer.loader)).to(device)
    masked = batch[peer.config["MASK_ITEM_SEQ"]] == peer.model.mask_token
    scored = (batch["MASK_INDEX"] > 0).sum(1)
    rows = (~masked[:, 0] & (masked.sum(1) == scored) & (scored > 0)).nonzero()[:, 0]
    batch, masked = batch[rows.cpu()].to(device), masked[rows]
    items = batch[peer.model.ITEM_SEQ]
    found: dict[str, float] = {}
    with torch.no_grad(), mock.patch.object(Masked, "masks", lambda self, items, lengths: masked):
        found["recbole"] = float(peer.model.calculate_loss(batch))
        for name, low in (("float32", False), ("bfloat16", True)):
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=low):
                step = ours.model.objective.step(items, torch.zeros(len(items), dtype=torch.int64, device=device))
            found[name] = float(
                softmax_cross_entropy.chunked(step.scores, step.targets, compute=torch.bfloat16 if low else None)
            )
    assert len(rows) > 10, "too few rows without a mask in front"
    assert abs(found["float32"] - found["recbole"]) <= 1e-5 * max(1.0, found["recbole"]), found
    assert abs(found["bfloat16"] - found["recbole"]) <= 1e-2 * found["recbole"], found
    return found


def main() -> None:
    options = sequences.options(__doc__)
    options.add_argument("--rows", type=int, default=256, help="RecBole's train_batch_size (its own default: 2048)")
    given = options.parse_args()
    common.start(given)
    train = sequences.playlists(given.tracks, given.playlists)
    size = {"train_batch_size": given.rows}
    peers = {"recbole": sequences.RecboleSteps("BERT4Rec", train, device=given.device, **size)}
    peers["best"] = sequences.RecboleSteps("BERT4Rec", train, device=given.device, **BEST, **size)
    peers["kept"] = sequences.RecboleSteps("BERT4Rec", train, device=given.device, kept=True, **size)
    if not given.quick:
        peers["shipped"] = sequences.RecboleSteps("BERT4Rec", train, device=given.device, shipped=True, **size)
    dropout = peers["recbole"].config["hidden_dropout_prob"]
    kinds: dict[str, dict[str, Any]] = {"fp32": {**EXACT, "bf16": "off"}}
    if has_bf16(given.device):
        kinds["bf16"] = {**EXACT, "bf16": "on"}
    ours = {
        name: sequences.OurSteps("BERT4Rec", train, spec, device=given.device, dropout=dropout)
        for name, spec in kinds.items()
    }
    check = same_loss(ours["fp32"], train, device=given.device)
    sides = {name: (side, 1 if name == "best" else 6) for name, side in peers.items()} | {
        name: (side, 2) for name, side in ours.items()
    }
    data = {
        "tracks": given.tracks,
        "playlists": given.playlists,
        "placements": int(train.lengths.sum()),
        "rows": given.rows,
    }
    sequences.run(
        "train_bert4rec",
        given,
        sides,
        {"fp32": 6, "bf16": 8},
        check,
        "stock mask, same weights",
        best_settings=BEST,
        data=data,
    )


if __name__ == "__main__":
    main()
