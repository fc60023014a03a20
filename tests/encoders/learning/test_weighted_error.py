"""Tests of the weighted prediction error and its gradient, and of a network trained with this loss."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from segue_papers.encoders.mel_cnn_1d import MelCnn1dEncoder, MelCnn1dParams
from tests.encoders.conftest import pure
from toolkit.encoders.learning.weighted_prediction_error import Feedback, weighted_error
from toolkit.errors import InputError


def feedback(tracks: int, users: int, k: int, seed: int = 0) -> Feedback:
    rng = np.random.default_rng(seed)
    played = np.where(rng.random((tracks, users)) < 0.3, 1 + 4 * rng.random((tracks, users)), 0)
    return Feedback(rng.normal(size=(users, k)).astype(np.float32), sp.csr_matrix(played.astype(np.float32)))


def test_weighted_error_equals_the_sum_over_all_users() -> None:
    known = feedback(7, 11, 3)
    users, gram = (torch.from_numpy(part.astype(np.float64)) for part in (known.users, known.users.T @ known.users))
    gram = users.T @ users
    rows = np.array([4, 0, 6])
    owners, who, confidence = known.batch(rows)
    found = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1), requires_grad=True)
    dense = torch.from_numpy(known.confidence[rows].toarray().astype(np.float64))
    heavy = torch.where(dense > 0, dense, 1.0)
    slow = (heavy * ((dense > 0).double() - found @ users.T).square()).sum() / 3
    value = weighted_error(found, users, gram, owners, who, confidence.double())
    assert torch.allclose(value, slow, rtol=1e-12)
    assert torch.autograd.gradcheck(
        lambda at: weighted_error(at, users, gram, owners, who, confidence.double()), (found,)
    )


def test_als_factors_minimise_the_weighted_error() -> None:
    """With free predictions, the gradient is zero at the closed-form factors of each track."""
    known = feedback(5, 20, 4)
    users = known.users.astype(np.float64)
    best = []
    for row in known.confidence.toarray():
        heavy = np.where(row > 0, row, 1.0)
        best.append(np.linalg.solve((users * heavy[:, None]).T @ users, users.T @ (heavy * (row > 0))))
    at = torch.tensor(np.stack(best), requires_grad=True)
    held = torch.from_numpy(users)
    owners, who, confidence = known.batch(np.arange(5))
    weighted_error(at, held, held.T @ held, owners, who, confidence.double()).backward()
    assert at.grad is not None and at.grad.abs().max() < 1e-9


PARAMS = MelCnn1dParams(
    seconds=1, rate=8000, window=0.5, bands=16, fft=256, hop=128, filters=[8, 8], epochs=12, batch=8, lr=0.02,
    loss="weighted", output="prediction", bf16="off",
)  # fmt: skip


def test_encoder_with_weighted_loss_ranks_matching_users_first() -> None:
    """The first of two user groups plays low tones, and the second plays high tones."""
    group = np.arange(16) % 2
    users = np.eye(2, dtype=np.float32)[np.arange(12) % 2]
    played = sp.csr_matrix((5 * (group[:, None] == np.arange(12) % 2)).astype(np.float32))
    tones = [pure(200 * 8**side + 10 * place, 1.0) for place, side in enumerate(group)]
    factors = np.eye(2, dtype=np.float32)[group] * np.float32(0.8)
    encoder = MelCnn1dEncoder(PARAMS, seed=1).fit(tones[:12], factors[:12], feedback=Feedback(users, played[:12]))
    found = encoder.transform(tones[12:]) @ users.T
    own = group[12:, None] == np.arange(12) % 2
    assert encoder.curve[-1]["loss"] < 0.5 * encoder.curve[0]["loss"]
    assert found[own].min() > found[~own].max()


def test_missing_or_misshapen_feedback_raises_input_error() -> None:
    tones = [pure(300, 1.0), pure(900, 1.0)]
    with pytest.raises(InputError, match="`loss: weighted` requires feedback"):
        MelCnn1dEncoder(PARAMS).fit(tones, np.ones((2, 3), np.float32))
    with pytest.raises(InputError, match=r"users \(11, 3\), confidence \(7, 11\) must have 2 tracks and 3 factors"):
        MelCnn1dEncoder(PARAMS).fit(tones, np.ones((2, 3), np.float32), feedback=feedback(7, 11, 3))
