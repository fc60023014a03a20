"""Tests of exported vectors: equality with the model's vectors, and use as a modality."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

import segue
from toolkit.encoders.contract import registry


@pytest.mark.parametrize("ending", ["parquet", "safetensors", "npz"])
def test_vectors_encoder_reads_exported_files(tiny_run: Path, tmp_path: Path, ending: str) -> None:
    model = segue.load(tiny_run, "sasrec-multimodal")
    files = model.export(tmp_path / "out", ending)  # type: ignore[arg-type]
    assert [file.name for file in files] == [
        f"{name}.{ending}" for name in ("items", "modality-audio", "modality-lyrics")
    ]
    fused = model.item_vectors()
    assert fused is not None and fused.present.all()
    encoder = registry.create("vectors", {"file": str(files[0])})
    assert np.array_equal(encoder.transform(list(fused.ids)), fused.matrix)


def test_exported_item_vectors_reproduce_model_ranking(tiny_run: Path) -> None:
    model = segue.load(tiny_run, "sasrec-multimodal")
    fused = model.item_vectors()
    assert fused is not None
    ids = list(fused.ids)
    seeds = ids[:4]
    ranked = model.continue_playlist(seeds, k=10)
    network, items = model.ranker.model, np.arange(1, 5)  # type: ignore[attr-defined]
    import torch

    with torch.inference_mode():
        query = network.objective.query(torch.from_numpy(items)[None], torch.tensor([4]))[0].numpy()
    scores = dict(zip(ids, (fused.matrix @ query).tolist(), strict=True))
    expected = sorted((track for track in ids if track not in seeds), key=lambda track: -scores[track])[:10]
    assert ranked["id"].tolist() == expected


def test_exported_parquet_contains_titles_and_artists(tiny_run: Path, tmp_path: Path) -> None:
    from tests.command import segue as command

    done = command("export", tiny_run, "--system", "sasrec-multimodal", "--out", tmp_path)
    assert done.exit_code == 0 and str(tmp_path / "items.parquet") in done.stdout
    table = parquet.read_table(tmp_path / "items.parquet")
    assert table.column_names == ["id", "title", "artist", "vector"] and table["title"].null_count == 0


def test_export_of_model_without_vectors_raises(tiny_run: Path, tmp_path: Path) -> None:
    with pytest.raises(segue.InputError, match="popularity does not have track vectors"):
        segue.load(tiny_run, "popularity").export(tmp_path)
