"""Tests of memory-mapped content, which gives the same numbers and keeps only the rows in use in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from tests.sequential.small_models import fusion, model, ring, spec
from toolkit.fusion.item_table import ItemTable
from toolkit.fusion.stored_vectors import store
from toolkit.memory import give_back_memory
from toolkit.modality import Modality
from toolkit.sequential.losses.negative_sampler import Sample
from toolkit.sequential.sequential_ranker import SequentialRanker

ROWS, DIM = 400_001, 128
TABLE = ROWS * DIM * 4


@pytest.mark.parametrize("table", ["float32", "bfloat16", "int8"])
def test_model_over_mapped_content_equals_model_over_memory(table: str) -> None:
    data, valid = ring()
    scores = []
    for place in ("memory", "file"):
        made = SequentialRanker(spec(match=True, epochs=3), fusion(table=table, table_in=place)).fit(data)
        scores.append(made.score(valid.queries(), np.arange(1, 49)))
    assert np.array_equal(*scores)


def test_released_mapped_content_is_read_again(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(5000, 16)).astype(np.float32)
    kept = store([rows], "float32", tmp_path)
    assert np.array_equal(kept.values.numpy(), rows)
    kept.release()
    assert np.array_equal(kept.values.numpy(), rows)
    assert list(tmp_path.iterdir()) == []  # the file has no name that a kill could leave behind


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_training_steps_release_mapped_content() -> None:
    # a process for each: what other tests left free in the heap, or this one took for good, is in neither figure
    grown = {place: kept_after_steps(place) for place in ("memory", "file")}
    assert grown["memory"]["anonymous"] > TABLE
    assert max(grown["file"].values()) < TABLE / 20


def kept_after_steps(place: str) -> dict[str, int]:
    run = subprocess.run(
        [sys.executable, "-m", __name__, place],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
    )
    return json.loads(run.stdout)


def resident() -> dict[str, int]:
    """Return the resident bytes of this process, in total and without file-backed pages."""
    give_back_memory()
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return {name: int(fields[field].split()[0]) * 1024 for name, field in (("all", "VmRSS"), ("anonymous", "RssAnon"))}


def steps(content: ItemTable, rows: int) -> None:
    made = model("sasrec", n_items=rows - 1, played=np.arange(rows) > 0, table=content, id_embedding=False).train()
    for _ in range(3):
        items = torch.randint(1, rows, (8, 13))
        step = made.objective.step(items, torch.zeros(8, dtype=torch.int64), None, Sample(64, rows - 1, None))
        step.scores.logits().sum().backward()
        content.release()


def table(rows: int, folder: str | None) -> ItemTable:
    played = np.arange(rows) > 0
    row = np.random.default_rng(0).normal(size=DIM).astype(np.float32)
    audio = Modality("audio", np.broadcast_to(row, (rows, DIM)), played)
    settings = fusion(normalise="none", id_embedding=False)
    made = ItemTable(
        {"audio": audio},
        settings,
        hidden_size=8,
        train="frozen",
        played=played,
        dropout=0.0,
        folder=folder and Path(folder),
    )
    made.check_loaded()
    return made


def main(place: str) -> None:
    with TemporaryDirectory() as folder:
        steps(table(1000, None), 1000)  # what a first step takes for good: threads, kernels
        before = resident()
        content = table(ROWS, folder if place == "file" else None)
        steps(content, ROWS)
        print(json.dumps({name: value - before[name] for name, value in resident().items()}))


if __name__ == "__main__":
    main(sys.argv[1])
