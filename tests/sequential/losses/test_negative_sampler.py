"""Tests of the negative sampler: sampling frequencies, and the expectation of the corrected softmax."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.sequential.small_models import fusion, model, ring, spec
from toolkit.sequential.losses import softmax_cross_entropy
from toolkit.sequential.losses.loss_scores import Scores
from toolkit.sequential.losses.negative_sampler import Sample
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training.trainer import Trainer

V = 20
PLAYED = np.array([False] + [True] * 16 + [False] * 4)
PLAYS = torch.from_numpy(np.where(PLAYED, np.arange(V + 1)[::-1], 0))
FROM = {"uniform": None, "popularity": PLAYS}
STEPS = 800
TRACKS = torch.from_numpy(np.flatnonzero(PLAYED))


def sample(draw: str, negatives: int, n: int = 16, *, plays: torch.Tensor | None = None, **more: object) -> Sample:
    expected = torch.zeros(V + 1, dtype=torch.float64)
    return Sample(negatives, n, **{"expected": expected, "plays": FROM[draw] if plays is None else plays, **more})


def test_log_q_equals_observed_sampling_frequency() -> None:
    """Count 4000 steps with batches of 40 entries drawn by popularity and 6 uniform negatives."""
    made = model("sasrec", n_items=V, played=PLAYED)
    plays = PLAYS.numpy() ** 2
    share = plays / plays.sum()
    drawn = sample("uniform", 6, expected=torch.from_numpy(share * 40))
    generator = np.random.default_rng(0)
    torch.manual_seed(0)
    seen = np.zeros(V + 1)
    with torch.no_grad():
        for _ in range(4000):
            chosen = made.space.choose(torch.from_numpy(generator.choice(V + 1, (4, 10), p=share)), drawn)
            seen[chosen.ids.numpy()] += 1
    chances = drawn.log_q(TRACKS)
    assert chances is not None
    assert chances.exp().tolist() == pytest.approx((seen[PLAYED] / 4000).tolist(), abs=0.03)
    assert float(chances.exp().min()) < 0.5 < float(chances.exp().max())


@pytest.mark.parametrize("draw", FROM)
def test_negatives_are_drawn_in_proportion_to_plays(draw: str) -> None:
    torch.manual_seed(0)
    times = torch.bincount(sample(draw, 200_000).draw(TRACKS), minlength=V + 1).double() / 200_000
    wanted = torch.from_numpy(PLAYED / 16) if draw == "uniform" else PLAYS / PLAYS.sum()
    assert times.tolist() == pytest.approx(wanted.tolist(), abs=4e-3)
    assert not bool(times[~torch.from_numpy(PLAYED)].any())


@pytest.mark.parametrize("draw", FROM)
def test_log_q_equals_exact_probability_of_being_drawn(draw: str) -> None:
    """Enumerate every sequence of 3 draws from 4 tracks, for the probability of each track and the mean normaliser."""
    plays = torch.tensor([0, 5, 1, 3, 2] + [0] * 16)
    share = [0.25] * 4 if draw == "uniform" else [5 / 11, 1 / 11, 3 / 11, 2 / 11]
    found = sample(draw, 3, 4, plays=plays if draw == "popularity" else None).log_q(torch.arange(1, 5))
    assert found is not None
    logits = torch.randn(4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    chances, normaliser = np.zeros(4), 0.0
    for sequence in itertools.product(range(4), repeat=3):
        weight, inside = math.prod(share[track] for track in sequence), sorted(set(sequence))
        chances[inside] += weight
        normaliser += weight * float((logits[inside] - found[inside]).exp().sum())
    assert found.exp().tolist() == pytest.approx(chances.tolist(), abs=1e-14)
    assert normaliser == pytest.approx(float(logits.exp().sum()), rel=1e-13)


@pytest.mark.parametrize("draw", FROM)
def test_mean_sampled_loss_and_gradient_equal_full_softmax(draw: str) -> None:
    """Average 800 steps with 4 targets over 16 tracks and 24 draws, with and without the correction."""
    generator = torch.Generator().manual_seed(1)
    query, table = (torch.randn(size, 3, generator=generator, dtype=torch.float64) * 0.7 for size in (4, V + 1))
    wanted = torch.tensor([1, 2, 9, 16])

    def worked(loss: torch.Tensor, rows: torch.Tensor) -> tuple[float, torch.Tensor]:
        return float(loss.detach()), torch.autograd.grad(loss, rows)[0]

    every = table.clone().requires_grad_()
    full, slope = worked(F.cross_entropy(query @ every[TRACKS].T, wanted - 1), every)

    def mean(drawn: Sample) -> tuple[float, torch.Tensor]:
        torch.manual_seed(0)
        total, slopes = 0.0, torch.zeros_like(table)
        for _ in range(STEPS):
            rows = table.clone().requires_grad_()
            shared = drawn.draw(TRACKS).unique()
            log_q = drawn.log_q(shared)
            place = torch.searchsorted(shared, wanted).clamp(max=len(shared) - 1)
            hit = torch.where(shared[place] == wanted, place, len(shared))
            scores = Scores(
                query, rows[shared], None, None, None if log_q is None else -log_q, (query * rows[wanted]).sum(1), hit
            )
            loss, grad = worked(softmax_cross_entropy.full(scores, torch.full_like(wanted, len(shared))), rows)
            total, slopes = total + loss / STEPS, slopes + grad / STEPS
        return total, slopes

    value, slopes = mean(sample(draw, 24))
    plain, _ = mean(sample(draw, 24, expected=None))
    assert value == pytest.approx(full, abs=0.03)
    assert plain < full - 0.15
    assert float((slopes - slope).norm()) < 0.08 * float(slope.norm())


def test_log_q_is_exact_for_rare_tracks() -> None:
    """For a probability of one in a million, 1 − exp(−x) in float32 would have an error of 5 %."""
    found = Sample(negatives=2, n_candidates=2_000_000, expected=torch.zeros(1)).log_q(torch.tensor([0]))
    assert found is not None
    assert float(found.exp()) == pytest.approx(1e-6, rel=1e-4)


def test_draws_distinguish_shares_that_are_equal_in_float32() -> None:
    """The last of three tracks has all but two of a hundred million entries."""
    plays = torch.tensor([0, 1, 1, 99_999_998])
    drawn = Sample(4, 3, torch.zeros(4), plays=plays)
    found = drawn.log_q(torch.tensor([1, 2]))
    assert found is not None
    assert found.exp().tolist() == pytest.approx([4e-8, 4e-8], rel=1e-5)
    assert drawn.draw(torch.arange(1, 4)).tolist() == [3, 3, 3, 3]


@pytest.mark.parametrize("own", [True, False])
def test_negatives_from_popularity_draws_by_training_plays(own: bool) -> None:
    data, _ = ring()
    counts = data.train.counts()
    asked = spec(loss="sampled", negatives=8, negatives_from="popularity", batch_negatives=own, epochs=8, dropout=0.0)
    made = model("sasrec", n_items=48, played=counts > 0)
    drawn = Trainer(made, data.train, asked, seed=0, device="cpu").steps.sample
    assert drawn is not None and drawn.plays is not None and drawn.own == own
    assert drawn.plays.tolist() == counts.tolist()
    ranker = SequentialRanker(asked, fusion()).fit(data)
    assert ranker.curve[-1]["loss"] < 0.92 * ranker.curve[0]["loss"]
    assert ranker.curve[-1]["recall@10"] > 1.2 * ranker.curve[0]["recall@10"] > 0
