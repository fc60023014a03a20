"""Script of every process in `test_distributed.py`, which trains together; the first process saves the results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from tests.sequential.small_models import fusion, ring, spec
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training import distributed

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "chunked": ("sasrec", {"loss": "chunked", "match": True}, {"id_dropout": 0.3, "modality_dropout": 0.2}),
    "sampled": (
        "sasrec",
        {
            "loss": {"type": "sampled", "negatives": 16},
            "average": True,
            "train": "finetune",
            "id_start": "cooccurrence",
        },
        {},
    ),
    "rows": (
        "bert4rec",
        {"loss": {"type": "sampled", "negatives": 16}, "adam": "rows", "head": "untied", "cold_rows": "none"},
        {},
    ),
    "last": ("bert4rec", {"loss": "chunked", "last_item_epochs": 2, "average": True}, {"architecture": "late"}),
    "strict": ("bert4rec", {"loss": "full", "strict_recbole": True, "initialisation": "identity"}, {}),
    "gbce": ("sasrec", {"loss": {"type": "gbce", "negatives": 16}, "adam": "rows"}, {"architecture": "late"}),
    "apart": (
        "sasrec",
        {
            "loss": {"type": "sampled", "negatives": 16, "batch_negatives": False},
            "windows": "disjoint",
            "max_length": 4,
        },
        {},
    ),
    "masked": ("bert4rec", {"loss": "full", "shuffle": True, "neighbours": 5}, {"join": "sum"}),
}
"""Type, settings and fusion of models; none has dropout in its layers, which each process would draw for itself."""


def fit(case: str) -> SequentialRanker:
    torch.set_num_threads(1)
    kind, changed, fused = CASES[case]
    return SequentialRanker(spec(kind, dropout=0.0, epochs=3, patience=9, **changed), fusion(**fused)).fit(ring()[0])


def results(ranker: SequentialRanker) -> dict[str, torch.Tensor]:
    """Return the weights, and the curve as a further tensor."""
    names = [name for name in ranker.curve[0] if name != "seconds"]
    curve = torch.tensor([[row[name] for name in names] for row in ranker.curve], dtype=torch.float64)
    return {name: tensor.detach().clone() for name, tensor in ranker.model.named_parameters()} | {"curve": curve}


if __name__ == "__main__":
    processes = distributed.join()
    for case in CASES:
        fitted = fit(case)
        if processes.leads:
            save_file(results(fitted), Path(sys.argv[1]) / f"{case}.safetensors")
    processes.leave()
