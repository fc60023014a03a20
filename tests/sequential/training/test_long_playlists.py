"""Tests that windows learn as well as RecBole's prefixes if each track depends on the sixth track before it.

Playlists have 60 tracks, the window 12 tracks, and the model one layer. t[i] follows from t[i − 6] alone, so targets
without half a window of context cannot be predicted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.sequential.small_models import spec, training
from toolkit.sequential.item_space import Parts
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.multimodal_sasrec import MultimodalSASRec
from toolkit.sequential.recbole.prefix_rows import loaders
from toolkit.sequential.training.trainer import Trainer

V, L, LAG, EPOCHS = 20, 12, 6, 8
GENERATOR = np.random.default_rng(0)
NEXT = GENERATOR.permutation(V) + 1


def walk(length: int) -> list[int]:
    tracks = GENERATOR.integers(1, V + 1, LAG).tolist()
    while len(tracks) < length:
        tracks.append(int(NEXT[tracks[-LAG] - 1]))
    return tracks


TRAIN = training([walk(60) for _ in range(30)], V)
ASKED = np.array([walk(60)[-L - 1 :] for _ in range(200)])
SETTINGS = {
    "hidden_size": 32,
    "inner_size": 64,
    "n_layers": 1,
    "MAX_ITEM_LIST_LENGTH": L,
    "hidden_dropout_prob": 0.0,
    "attn_dropout_prob": 0.0,
    "learning_rate": 3e-3,
    "train_batch_size": 64,
}


def top_1_share(model: Any) -> float:
    """Return the share of new playlists with the next track ranked first."""
    lists = bridge.Interaction(
        {"item_id_list": torch.from_numpy(ASKED[:, :-1]), "item_length": torch.full((len(ASKED),), L)}
    )
    with torch.no_grad():
        return float((model.eval().full_sort_predict(lists).argmax(1) == torch.from_numpy(ASKED[:, -1])).float().mean())


def by_prefixes(folder: Path) -> float:
    with bridge.seeded(0):
        config = bridge.config("SASRec", settings={**SETTINGS, "checkpoint_dir": str(folder)})
        model: Any = bridge.SASRec(config, bridge.CatalogueSize(V))
        trainer, (rows, _) = bridge.Trainer(config, model), loaders(config, TRAIN, None)
        for epoch in range(EPOCHS):
            trainer._train_epoch(rows, epoch)
    return top_1_share(model)


def by_windows() -> float:
    """Train with windows for the same number of epochs and steps, with 64 targets in a step, and return the share."""
    torch.manual_seed(0)
    model: Any = MultimodalSASRec(bridge.config("SASRec", settings=SETTINGS), bridge.CatalogueSize(V), Parts())
    settings = spec("sasrec", epochs=EPOCHS, max_length=L, hidden_size=32, dropout=0.0, batch_tokens=128)
    Trainer(model, TRAIN, settings, seed=0, device="cpu").run()
    return top_1_share(model)


def test_windows_of_long_playlists_train_as_well_as_prefixes(tmp_path: Path) -> None:
    prefixes, ours = by_prefixes(tmp_path), by_windows()
    assert prefixes > 0.9
    assert ours > prefixes - 0.05
