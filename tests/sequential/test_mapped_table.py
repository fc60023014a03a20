"""Content that stays in a file: the same numbers, and memory for the rows that are read alone."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import fusion, model, ring, spec

from toolkit.fusion.item_table import ItemTable
from toolkit.fusion.stored import store
from toolkit.modality import Modality
from toolkit.sequential.models import Sample
from toolkit.sequential.ranker import SequentialRanker

ROWS, DIM = 400_001, 128
TABLE = ROWS * DIM * 4


def resident(what: str) -> int:
    """Bytes of this process, `VmRSS` all, `RssAnon` those that no file holds."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("table", ["float32", "bfloat16", "int8"])
def test_a_model_over_a_file_is_the_one_over_memory(table: str) -> None:
    data, valid = ring()
    scores = []
    for place in ("memory", "file"):
        made = SequentialRanker(spec(match=True, epochs=3), fusion(table=table, table_in=place)).fit(data)
        scores.append(made.score(valid.queries(), np.arange(1, 49)))
    assert np.array_equal(*scores)


def test_what_is_given_back_is_read_again(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(5000, 16)).astype(np.float32)
    kept = store([rows], "float32", tmp_path)
    assert np.array_equal(kept.values.numpy(), rows)
    kept.release()
    assert np.array_equal(kept.values.numpy(), rows)
    assert list(tmp_path.iterdir()) == []  # the file has no name that a kill could leave behind


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_training_steps_leave_nothing_of_the_table_in_memory(tmp_path: Path) -> None:
    played = np.arange(ROWS) > 0
    row = np.random.default_rng(0).normal(size=DIM).astype(np.float32)
    audio = Modality("audio", np.broadcast_to(row, (ROWS, DIM)), played)
    settings = fusion(normalise="none", id_embedding=False)
    grown = {}
    for place, folder in (("memory", None), ("file", tmp_path)):
        before = resident("RssAnon"), resident("VmRSS")
        content = ItemTable({"audio": audio}, settings, hidden_size=8, train="frozen", played=played, dropout=0.0, folder=folder)
        content.check_loaded()
        made = model("sasrec", n_items=ROWS - 1, played=played, table=content, id_embedding=False).train()
        for _ in range(3):
            items = torch.randint(1, ROWS, (8, 13))
            step = made.step(items, torch.zeros(8, dtype=torch.int64), None, Sample(64, ROWS - 1, None))
            step.scores.logits().sum().backward()
            content.release()
        grown[place] = resident("RssAnon") - before[0], resident("VmRSS") - before[1]
        del content, made, step
    assert grown["memory"][0] > TABLE
    assert max(grown["file"]) < TABLE / 3
