"""Tests of models with content of lower precision: saving, loading, resuming, and recall for unplayed tracks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sequential.small_models import fusion, ring, spec
from toolkit.modality import Modality
from toolkit.ranker import TrainingData
from toolkit.sequential.sequential_ranker import SequentialRanker

EVERY = np.arange(1, 49)
COLD = np.arange(43, 49)


def positioned_content() -> tuple[TrainingData, Any]:
    """Return the ring, and content that encodes the position of each track on it, including unplayed tracks."""
    data, valid = ring()
    angle = np.concatenate([np.arange(43) / 42, (np.arange(6) * 7 + 0.5) / 42]) * 2 * np.pi
    waves = np.stack([wave(angle * k) for k in range(1, 5) for wave in (np.sin, np.cos)], axis=1).astype(np.float32)
    return replace(data, modalities={"audio": Modality("audio", waves, np.arange(49) > 0)}), valid


def fit(table: str, **changed: Any) -> SequentialRanker:
    data, _ = positioned_content()
    made = SequentialRanker(spec(match=True, dropout=0.0, epochs=15, patience=15), fusion(table=table, id_dropout=0.3))
    return made.fit(replace(data, **changed))


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    return fit("float32").score(positioned_content()[1].queries(), EVERY)


@pytest.mark.parametrize(("table", "dtype"), [("bfloat16", "torch.bfloat16"), ("int8", "torch.int8")])
def test_table_of_lower_precision_scores_close_to_float32_after_loading(
    table: str, dtype: str, exact: np.ndarray, tmp_path: Path
) -> None:
    ranker, queries = fit(table), positioned_content()[1].queries()
    found = ranker.score(queries, EVERY)
    ranker.save(tmp_path)
    loaded = SequentialRanker.load(tmp_path)
    assert (
        str(loaded.model.item_table.content("audio").dtype)
        == str(loaded.model.match.get_buffer("content").dtype)
        == dtype
    )
    np.testing.assert_allclose(loaded.score(queries, EVERY), found, atol=1e-6)
    assert not np.array_equal(found, exact)
    for row, wanted in zip(found, exact, strict=True):
        assert np.corrcoef(row, wanted)[0, 1] > 0.99
    top, wanted = (np.argsort(-scores[:, COLD - 1], axis=1)[:, :2] for scores in (found, exact))
    assert np.mean(top == wanted) >= 0.9


def test_training_with_int8_table_resumes_from_checkpoint(tmp_path: Path) -> None:
    first, second = fit("int8", workdir=tmp_path), fit("int8", workdir=tmp_path)
    assert second.curve == first.curve
