"""Tests that models larger than any memory raise an error before memory is allocated."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.sequential.small_models import fusion, ring, spec
from toolkit.errors import InputError
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training import memory_estimate

DATA, _ = ring(playlists=30)
GB = 10**9


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
@pytest.mark.parametrize(
    "sizes", [{}, {"hidden_size": 32, "layers": 5, "inner_size": 7}, {"max_length": 200}, {"late": True}]
)
def test_estimated_parameters_are_a_lower_bound(kind: str, sizes: dict[str, Any]) -> None:
    late = sizes.get("late", False)
    settings = spec(kind, **{name: value for name, value in sizes.items() if name != "late"})
    ranker = SequentialRanker(settings, fusion(architecture="late" if late else "early"))
    data = DATA if late else replace(DATA, modalities={})
    ranker._build(data.modalities, data.train.counts(), device="cpu", seed=0)
    counted = memory_estimate.parameters(settings, DATA.n_items, streams=3 if late else 1)
    real = sum(parameter.numel() for parameter in ranker.model.parameters())
    assert 0.85 * real < counted <= real


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"hidden_size": 1_000_000},
            r"hidden_size=1000000, inner_size=4000000, layers=2 .* over 48 tracks are 24,.* reduce the sizes",
        ),
        ({"inner_size": 10**15}, "inner_size=1000000000000000, "),
        ({"layers": 10**12}, "layers=1000000000000 "),
        ({"max_length": 10**15}, "max_length=1000000000000000 "),
        (
            {"loss": {"type": "sampled", "negatives": 10**13}},
            r"a step of batch_tokens=256 and negatives=10000000000000 takes at least 160,000\.0 GB",
        ),
        ({"loss": {"type": "gbce", "negatives": 10**13}}, "negatives=10000000000000"),
    ],
)
def test_training_larger_than_memory_raises_input_error(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        SequentialRanker(spec(**changed), fusion()).fit(DATA)
    assert "\n" not in str(caught.value) and "GB are free: " in str(caught.value)


def test_check_passes_for_training_within_free_memory() -> None:
    settings = spec(hidden_size=64)
    # 2 layers of 50,000 numbers, 1,000,000 tracks of 64: five copies of 256 MB
    assert not memory_estimate.problem(settings, 10**6, 256, free=13 * GB // 10)
    problem = memory_estimate.problem(settings, 10**6, 256, free=12 * GB // 10)
    assert "parameters, which take at least 1.3 GB in training, but 1.2 GB are free" in problem


def test_memory_of_full_loss_includes_logits() -> None:
    chunked, full = spec(), spec(loss="full")
    assert not memory_estimate.problem(chunked, 10**6, 4096, free=10 * GB)
    problem = memory_estimate.problem(full, 10**6, 4096, free=10 * GB)
    assert "batch_tokens=256 and `loss: full` over 1,000,000 tracks takes at least 32.8 GB" in problem


def test_memory_is_limited_by_number_of_playlist_entries() -> None:
    SequentialRanker(spec(batch_tokens=10**15, epochs=1), fusion()).fit(DATA)
