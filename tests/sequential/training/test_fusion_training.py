"""Tests of training, loading and resuming for every join, reduction, missing policy and warm-up."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.sequential.small_models import fusion, ring, spec
from tests.sequential.training.trainings import Killed, fresh, killer, same, scripted, timeless, trainer, weights
from toolkit.errors import OldForm
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training import checkpoint_tensors

EVERY = np.arange(1, 49)
WAYS: list[tuple[str, dict[str, Any]]] = [
    ("sasrec", {"join": "gated"}),
    ("bert4rec", {"join": "gated", "architecture": "late"}),
    ("sasrec", {"missing": {"type": "em", "rank": 3}, "architecture": "late"}),
    ("bert4rec", {"missing": {"type": "em", "rank": 3}, "reduce": "pca:3", "table": "int8"}),
    ("bert4rec", {"missing": "linear", "join": "sum"}),
    ("sasrec", {"missing": "mask_token", "modality_dropout": 0.3, "reduce": {"audio": "linear:3", "lyrics": "pca:4"}}),
    ("bert4rec", {"missing": "mask_token", "architecture": "late"}),
    ("sasrec", {"reduce_joint": "pca:6", "normalise": "after"}),
    ("bert4rec", {"reduce_joint": "mlp:6"}),
    ("sasrec", {"reduce": "mlp:6", "regularise": False, "join": "sum"}),
]


@pytest.mark.parametrize(("kind", "ways"), WAYS, ids=[f"{kind}-{number}" for number, (kind, _) in enumerate(WAYS)])
def test_loaded_fusion_model_scores_the_same(kind: str, ways: dict[str, Any], tmp_path: Path) -> None:
    data, valid = ring()
    ranker = SequentialRanker(spec(kind, train="warmup", warmup_epochs=1, epochs=5), fusion(**ways)).fit(data)
    found = ranker.score(valid.queries(), EVERY)
    assert np.isfinite(found).all() and ranker.curve[-1]["loss"] < ranker.curve[0]["loss"]
    ranker.save(tmp_path)
    loaded = SequentialRanker.load(tmp_path)
    np.testing.assert_allclose(loaded.score(valid.queries(), EVERY), found, atol=1e-6)
    assert loaded.modality_weights() == ranker.modality_weights()


@pytest.mark.parametrize(("kind", "ways"), [WAYS[0], WAYS[1], WAYS[3], WAYS[5]])
def test_resuming_a_killed_fusion_training_gives_identical_weights(
    kind: str, ways: dict[str, Any], tmp_path: Path
) -> None:
    data, valid = ring()

    def fit(workdir: Path, **options: Any) -> SequentialRanker:
        settings = spec(kind, epochs=4, patience=4, train="warmup", warmup_epochs=2)
        return SequentialRanker(settings, fusion(**ways)).fit(replace(data, workdir=workdir, **options))

    whole = fit(tmp_path / "whole")
    with pytest.raises(Killed):
        fit(tmp_path / "killed", progress=killer(4))
    resumed = fit(tmp_path / "killed")
    assert [row["loss"] for row in resumed.curve] == [row["loss"] for row in whole.curve]
    assert np.array_equal(resumed.score(valid.queries(), EVERY), whole.score(valid.queries(), EVERY))


def test_warmup_freezes_content_before_finetuning() -> None:
    made = fresh("sasrec", train="warmup")
    with torch.no_grad():
        for delta in made.item_table.deltas.values():
            delta.weight.zero_()
    moved: list[bool] = []

    def look() -> dict[str, float]:
        moved.append(any(bool(delta.weight.any()) for delta in made.item_table.deltas.values()))
        return {"ndcg@10": 0.1 * len(moved), "recall@10": 0.0}

    run = trainer(made, validate=look, epochs=4, weight_decay=0.1)
    run.spec = spec("sasrec", train="warmup", warmup_epochs=2, epochs=4, weight_decay=0.1)
    run.run()
    assert moved == [False, False, True, True]


def test_patience_is_counted_from_the_end_of_warmup() -> None:
    made = fresh("sasrec", train="warmup")
    run = trainer(made, validate=scripted(made, [0.5, 0.4, 0.3, 0.2, 0.1, 0.1])[0])
    run.spec = spec("sasrec", train="warmup", warmup_epochs=3, epochs=6, patience=1)
    assert run.run().epoch == 4


def test_resuming_a_killed_warmup_gives_identical_weights(tmp_path: Path) -> None:
    def run(workdir: Path | None, **options: Any) -> tuple[Any, Any]:
        made = fresh("sasrec", train="warmup")
        built = trainer(made, workdir=workdir, **options)
        built.spec = spec("sasrec", train="warmup", warmup_epochs=2, epochs=4)
        return made, built

    straight, whole = run(None)
    progress = whole.run()
    for epoch in (2, 3):
        folder = tmp_path / str(epoch)
        with pytest.raises(Killed):
            run(folder, on_step=killer(epoch))[1].run()
        resumed, rest = run(folder)
        assert timeless(rest.run()) == timeless(progress)
        assert same(weights(resumed), weights(straight))


def test_modality_weights_list_part_and_modality() -> None:
    data, _ = ring()

    def said(**changed: Any) -> dict[str, list[str]]:
        model = {key: changed.pop(key) for key in ("match", "modalities") if key in changed}
        rows = SequentialRanker(spec(epochs=1, **model), fusion(**changed)).fit(data).modality_weights()
        assert all(np.isfinite(row["value"]) for row in rows)
        return {
            of: [row["modality"] for row in rows if row["of"] == of] for of in dict.fromkeys(row["of"] for row in rows)
        }

    both = ["audio", "lyrics"]
    assert said() == {}
    assert said(join="sum") == {"sum": both}
    assert said(join="gated", match=True) == {"gate": both, "match": both}
    assert said(architecture="late") == {"sum": both, "stream": ["(ids)", *both]}
    assert said(architecture="late", id_embedding=False, join="gated") == {"gate": both, "stream": both}


@pytest.mark.parametrize("changed", [{}, {"join": "sum", "train": "finetune"}, {"table": "int8"}])
def test_shuffle_equals_fit_with_swapped_vectors(changed: dict[str, Any]) -> None:
    """Compare with vectors of two tracks swapped by hand in a modality. Values of absent tracks do not change."""
    data, valid = ring()
    kept = {"train": changed.pop("train", "frozen")}
    ranker = SequentialRanker(spec(match=True, **kept), fusion(**changed)).fit(data)
    before, queries = ranker.score(valid.queries(), EVERY), valid.queries()
    table, match = ranker.model.item_table, ranker.model.match
    items = torch.arange(49)
    audio, lyrics = (table.modality(name, items).clone() for name in ("audio", "lyrics"))
    held = match.rows(items).clone()
    present = {name: modality.present for name, modality in data.modalities.items()}
    order = ranker.shuffle("audio", present["audio"], seed=3)
    assert sorted(order) == list(range(49)) and (order != np.arange(49)).any()
    assert (order[~present["audio"]] == np.flatnonzero(~present["audio"])).all() and present["audio"][
        order[present["audio"]]
    ].all()
    played = torch.from_numpy(data.train.counts() > 0)
    both = played & played[order]
    torch.testing.assert_close(table.modality("audio", items)[both], audio[order][both])
    torch.testing.assert_close(table.modality("lyrics", items), lyrics)
    wide = slice(0, match.layout()["audio"])
    torch.testing.assert_close(match.rows(items)[:, wide], held[order][:, wide])
    torch.testing.assert_close(match.rows(items)[:, wide.stop :], held[:, wide.stop :])
    after = ranker.score(queries, EVERY)
    assert np.abs(after - before).max() > 1e-3


def test_model_saved_with_flat_keys_ranks_the_same_after_loading(tmp_path: Path) -> None:
    data, valid = ring()
    ranker = SequentialRanker(spec(epochs=1), fusion(join="gated")).fit(data)
    ranker.save(tmp_path)
    tensors, info = checkpoint_tensors.read(tmp_path / "model.safetensors")
    info["fusion"] |= {"join": "gated", "missing": "mean", "em_rank": 32}
    checkpoint_tensors.write(tmp_path / "model.safetensors", tensors, info)
    with warnings.catch_warnings():
        warnings.simplefilter("error", OldForm)
        loaded = SequentialRanker.load(tmp_path)
    assert loaded.fusion == ranker.fusion
    assert np.array_equal(loaded.score(valid.queries(), EVERY), ranker.score(valid.queries(), EVERY))
