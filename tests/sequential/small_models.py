"""Small corpora, content and models for the tests in this folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.fusion.item_table import ItemTable
from toolkit.modality import Modality
from toolkit.ranker import TrainingData
from toolkit.recipe import Fusion, ModelSpec
from toolkit.sequential.item_space import Parts
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.multimodal_bert4rec import MultimodalBERT4Rec
from toolkit.sequential.recbole.multimodal_sasrec import MultimodalSASRec

SMALL = {
    "hidden_size": 16,
    "max_length": 10,
    "epochs": 2,
    "batch_tokens": 256,
    "select": "ndcg@10",
    "bf16": "off",
    "lr": 3e-3,
}


def corpus(lists: Sequence[Sequence[int]], n_items: int, titles: Sequence[str | None] | None = None) -> Corpus:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in lists])]).astype(np.int64)
    names, nothing = [f"local:{item}" for item in range(1, n_items + 1)], pa.nulls(len(lists), pa.string())
    named = nothing if titles is None else pa.array(titles, pa.string())
    playlists = pa.table(
        {"id": [f"p{row}" for row in range(len(lists))], "title": named, "group": nothing, "split": nothing}
    )
    items = np.array([item for row in lists for item in row], np.int32)
    return Corpus(items, offsets, pa.table({"id": names, "title": names}), playlists)


def training(lists: Sequence[Sequence[int]], n_items: int, titles: Sequence[str | None] | None = None) -> PlaylistSet:
    made = corpus(lists, n_items, titles)
    return PlaylistSet(made, np.arange(len(lists)), made.offsets[:-1], made.offsets[1:])


def modality(name: str, n_items: int, dim: int, seed: int, *, coverage: float = 0.8) -> Modality:
    generator = np.random.default_rng(seed)
    present = generator.random(n_items + 1) < coverage
    present[0] = False
    return Modality(name, generator.normal(1, 1, (n_items + 1, dim)).astype(np.float32) * present[:, None], present)


def ring(playlists: int = 60, n_items: int = 48, unplayed: int = 6, seed: int = 0) -> tuple[TrainingData, HeldOut]:
    """Return training and held-out playlists that follow a ring of tracks in small steps, which a model can learn.

    The last `unplayed` tracks are in no playlist. Titles name the quarter in which a playlist begins. Every fourth
    playlist has no title. Twelve playlists are held out after three tracks.
    """
    generator = np.random.default_rng(seed)
    played = n_items - unplayed
    lists, titles = [], []
    for row in range(playlists + 12):
        start, steps = generator.integers(played), generator.integers(1, 3, generator.integers(4, 15))
        lists.append(list(dict.fromkeys(((start + np.cumsum(steps)) % played + 1).tolist())))
        titles.append(None if row % 4 == 3 else f"quarter {4 * start // played}")
    made = corpus(lists, n_items, titles)
    rows, starts, ends = np.arange(len(lists)), made.offsets[:-1], made.offsets[1:]
    train, rest = slice(None, playlists), slice(playlists, None)
    valid = HeldOut(made, rows[rest], starts[rest], starts[rest] + 3, ends[rest])
    modalities = {"audio": modality("audio", n_items, 5, 1), "lyrics": modality("lyrics", n_items, 7, 2)}
    return TrainingData(PlaylistSet(made, rows[train], starts[train], ends[train]), valid, modalities, seed=3), valid


def spec(kind: str = "sasrec", **changed: Any) -> ModelSpec:
    return ModelSpec.of({"type": kind, **SMALL, **changed})


def fusion(**changed: Any) -> Fusion:
    return Fusion.model_validate(changed)


def model(
    kind: str,
    *,
    n_items: int,
    hidden_size: int = 8,
    max_length: int = 12,
    seed: int = 0,
    mask_ratio: float = 0.2,
    **parts: Any,
) -> Any:
    """Return a model in evaluation mode with random weights, so that every part affects the scores."""
    base, ours = {"sasrec": ("SASRec", MultimodalSASRec), "bert4rec": ("BERT4Rec", MultimodalBERT4Rec)}[kind]
    config, size = bridge.model_config(
        base,  # type: ignore[arg-type]
        n_items=n_items,
        hidden_size=hidden_size,
        max_length=max_length,
        mask_ratio=mask_ratio,
    )
    made: Any = ours(config, size, Parts(**parts))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.3, generator=generator)
        for module in made.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.add_(1.0)
    return made.eval()


def table(
    modalities: dict[str, Modality], played: np.ndarray, *, hidden_size: int = 8, train: Any = "frozen", **changed: Any
) -> ItemTable:
    return ItemTable(modalities, fusion(**changed), hidden_size=hidden_size, train=train, played=played, dropout=0.0)
