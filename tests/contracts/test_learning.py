"""Tests of the effective rank, and of the reasons why a trained part counts as collapsed."""

from __future__ import annotations

import numpy as np
import pytest

from toolkit.contracts.learning import MOST_ROWS, Learning, combined, distance, effective_rank, message, sample_rows

RNG = np.random.default_rng(3)
ABOVE = "loss {} must be more than 0.1 % below 0.771, the loss of the best constant prediction"


def slow_rank(matrix: np.ndarray) -> float:
    """Return the effective rank by the formula of the paper, from numpy's singular values of the covariance."""
    values = np.linalg.svd(np.cov(matrix, rowvar=False), compute_uv=False)
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-np.sum(shares * np.log(shares))))


@pytest.mark.parametrize("shape", [(50, 7), (7, 50), (300, 40), (4, 3)])
def test_effective_rank_equals_the_formula_on_the_covariance(shape: tuple[int, int]) -> None:
    matrix = RNG.normal(size=shape) * np.geomspace(1, 1e-3, shape[1]) + 5
    assert effective_rank(matrix) == pytest.approx(slow_rank(matrix), rel=1e-6)
    assert effective_rank(matrix.astype(np.float32)) == pytest.approx(slow_rank(matrix), rel=1e-3)


def test_effective_rank_of_orthogonal_rows_is_their_dimension() -> None:
    for dim in (3, 8):
        assert effective_rank(np.concatenate([np.eye(dim), -np.eye(dim)])) == pytest.approx(dim)
        assert effective_rank(np.eye(dim)) == pytest.approx(dim - 1)  # rows are centred


def test_effective_rank_of_rows_on_a_line_is_one() -> None:
    line = np.outer(RNG.normal(size=40), RNG.normal(size=9)) + RNG.normal(size=9)
    assert effective_rank(line) == pytest.approx(1)
    assert effective_rank(line.astype(np.float32)) == pytest.approx(1, abs=0.02)


def test_effective_rank_of_equal_rows_is_zero_despite_rounding() -> None:
    same = np.tile(RNG.normal(size=30).astype(np.float32), (20, 1))
    assert effective_rank(same) == 0
    assert effective_rank(same * (1 + 3e-8 * RNG.normal(size=same.shape)).astype(np.float32)) == 0
    assert effective_rank(same + (1e-3 * RNG.normal(size=same.shape)).astype(np.float32)) > 10


def test_effective_rank_does_not_depend_on_scale_and_offset() -> None:
    matrix = RNG.normal(size=(60, 12))
    for scale, offset in ((1e-4, 0), (1e5, 0), (1, 100)):
        assert effective_rank(scale * matrix + offset) == pytest.approx(effective_rank(matrix), rel=1e-5)


def test_effective_rank_ignores_rows_that_are_not_finite() -> None:
    matrix = RNG.normal(size=(30, 5))
    gaps = np.concatenate([matrix, np.full((3, 5), np.nan)])
    assert effective_rank(gaps) == pytest.approx(effective_rank(matrix))
    assert effective_rank(np.zeros((0, 5))) == 0


def test_sample_of_many_rows_is_even_and_bounded() -> None:
    assert sample_rows(5).tolist() == [0, 1, 2, 3, 4]
    rows = sample_rows(1_000_000)
    assert (len(rows), rows[0], rows[-1]) == (MOST_ROWS, 0, 999_999)
    assert len(np.unique(np.diff(rows))) == 2
    assert len(sample_rows(5000, 100_000)) == 2**24 // 100_000
    assert len(sample_rows(0)) == 0


def test_distance_is_relative_to_the_larger_norm() -> None:
    start = RNG.normal(size=100)
    assert distance(start, start) == 0
    assert distance(start, 1.01 * start) == pytest.approx(0.01 / 1.01)
    assert distance(np.zeros(3), np.ones(3)) == 1
    assert distance(np.zeros(3), np.zeros(3)) == 0


@pytest.mark.parametrize(
    ("learning", "reason"),
    [
        (Learning(), ""),
        (Learning(0.611, 0.771, 0.2, 2.7, 40), ""),
        (Learning(0.774, 0.771, 0.2, 2.7, 40), ABOVE.format("0.774")),
        (Learning(0.7705, 0.771), ABOVE.format("0.7705")),
        (Learning(0.7701, 0.771), ""),
        (Learning(float("nan"), 0.771), ABOVE.format("nan")),
        (Learning(0.1, 0.0), ""),  # the targets are constant: no prediction is better
        (Learning(0.774, None), ""),
        (Learning(0.774, 0.771, 1e-9), "the weights did not change"),
        (Learning(0.611, 0.771, 0.2, 1.08, 40), "effective rank 1.08 of 40 dimensions is below 2"),
        (Learning(rank=1.9, dim=40), "effective rank 1.90 of 40 dimensions is below 2"),
        (Learning(rank=2.0, dim=40), ""),
        (Learning(rank=0.0, dim=40), "all vectors are equal"),
        (Learning(rank=0.0, dim=40, least_rank=0.0), "all vectors are equal"),
    ],
)
def test_collapsed_names_the_first_reason(learning: Learning, reason: str) -> None:
    assert learning.collapsed == reason


def test_two_columns_and_three_inputs_are_not_judged_by_rank() -> None:
    assert Learning().of_vectors(np.ones((50, 2))).collapsed == ""
    assert Learning().of_vectors(np.ones((3, 9))).collapsed == ""
    assert Learning().of_vectors(np.ones((50, 9)), distinct=3).collapsed == ""
    assert Learning().of_vectors(np.ones((50, 3))).collapsed == "all vectors are equal"


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_vectors_of_a_few_groups_of_targets_are_not_collapsed(groups: int) -> None:
    """A network that separates all groups of labels perfectly has as many vectors as there are groups."""
    labels = np.eye(groups)[np.arange(120) % groups]
    vectors = labels @ RNG.normal(size=(groups, 16))
    assert effective_rank(vectors) < 3
    assert Learning(0.01, 0.6).of_task(labels).of_vectors(vectors).collapsed == ""
    many = RNG.normal(size=(120, 20))
    line = np.outer(RNG.normal(size=120), RNG.normal(size=16))
    assert (
        Learning(0.5, 0.6).of_task(many).of_vectors(line).collapsed == "effective rank 1.00 of 16 dimensions is below 2"
    )


def test_vectors_of_few_distinct_inputs_are_not_collapsed() -> None:
    vectors = RNG.normal(size=(4, 16))[RNG.integers(0, 4, 200)]
    vectors[:, 1:] *= 0.01  # nearly on a line
    assert effective_rank(vectors) < 1.5
    assert Learning().of_vectors(vectors, distinct=3).collapsed == ""
    assert Learning().of_vectors(vectors).collapsed


def test_record_is_read_back_from_json() -> None:
    record = Learning(0.5, 0.6, 0.1).of_vectors(RNG.normal(size=(20, 5)))
    assert Learning.from_json(record.to_json()) == record
    assert Learning.from_json(Learning().to_json() | {"later": 1}) == Learning()
    assert Learning.from_json(None) is None


def test_message_names_part_reason_and_cure() -> None:
    assert message("audio", "the weights did not change") == (
        "audio: collapsed (the weights did not change): train longer (epochs), raise the learning rate, or check inputs"
        " and targets"
    )
    assert combined("own", {"audio": "", "cover": "all vectors are equal"}) == "own; cover: all vectors are equal"
    assert combined("", {"audio": ""}) == ""


def test_vectors_along_one_direction_are_collapsed_despite_small_noise() -> None:
    """A network after a few epochs: nearly all variance is on a line, next to the random outputs of its start."""
    line = np.outer(RNG.normal(size=400), RNG.normal(size=40))
    vectors = line + 0.08 * RNG.normal(size=(400, 40))
    singular = np.linalg.svd(vectors - vectors.mean(axis=0), compute_uv=False)
    shares = singular / singular.sum()
    assert np.exp(-(shares * np.log(shares)).sum()) > 5  # the noise counts as dimensions
    assert Learning(0.754, 0.761).of_vectors(vectors).collapsed.startswith("effective rank 1.")
