"""Weighted prediction error, which compares predicted track factors with interactions for fixed user factors.

Source: van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013, equation 5: Σ_ui c_ui
(p_ui − x_u·ŷ_i)². This is the objective of weighted matrix factorisation (Hu, Koren and Volinsky 2008) with predictions
ŷ instead of track factors. The sum over all users requires no loop over users, because c is 1 and p is 0 except where
there are interactions. Therefore Σ_u (x_u·ŷ_i)² = ŷ_iᵀ (XᵀX) ŷ_i holds for all users, and only the interactions of the
tracks in a batch need a correction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp
    from torch import Tensor


@dataclass(frozen=True)
class Feedback:
    """Interactions from which factors were computed.

    - users: user factors X, float32 [U, f].
    - confidence: confidence c of the interactions of each track, sparse float32 [n, U].
    """

    users: np.ndarray
    confidence: sp.csr_matrix

    def take(self, rows: np.ndarray) -> Feedback:
        """Return the feedback of the tracks at `rows`, in that order."""
        return Feedback(self.users, self.confidence[rows])

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Return the interactions of the tracks at `rows`, int [b], as batch index, user and confidence."""
        import torch

        part = self.confidence[rows]
        owners = np.repeat(np.arange(len(rows)), np.diff(part.indptr))
        return (
            torch.from_numpy(owners),
            torch.from_numpy(part.indices.astype(np.int64)),
            torch.from_numpy(part.data.astype(np.float32)),
        )

    def unit(self) -> float:
        """Return the mean error of a zero prediction, the unit of the loss."""
        return max(float(self.confidence.sum()) / max(self.confidence.shape[0], 1), 1e-12)

    def identity(self) -> bytes:
        """Return bytes that differ from the bytes of any other feedback."""
        c = self.confidence
        return b"".join(np.ascontiguousarray(part).tobytes() for part in (self.users, c.indptr, c.indices, c.data))


def weighted_error(
    predicted: Tensor, users: Tensor, gram: Tensor, owners: Tensor, who: Tensor, confidence: Tensor
) -> Tensor:
    """Return the mean over predictions [b, f] of Σ_u c (p − x_u·ŷ)², a scalar.

    - users, gram: X [U, f] and XᵀX [f, f].
    - owners, who, confidence: arrays with one entry per interaction, from `Feedback.batch`.
    """
    scores = (predicted[owners] * users[who]).sum(dim=1)
    played = (confidence * (1 - scores).square() - scores.square()).sum()
    return (((predicted @ gram) * predicted).sum() + played) / len(predicted)


def constant_weighted_error(users: Tensor, gram: Tensor, who: Tensor, confidence: Tensor, count: int) -> float:
    """Return the mean weighted error over `count` tracks of the best prediction that is the same for all of them.

    For a constant ŷ it is ŷᵀ(XᵀX + Σ (c − 1) x xᵀ / n) ŷ − 2 ŷᵀ Σ c x / n + Σ c / n, with sums over the interactions.

    - users, gram: X [U, f] and XᵀX [f, f].
    - who, confidence: user and confidence of each interaction.
    """
    import torch

    weight = confidence.double() / count
    x = users[who].double()
    quadratic = gram.double() + x.T @ (x * (weight - 1 / count)[:, None])
    linear = x.T @ weight
    return float(weight.sum() - linear @ torch.linalg.pinv(quadratic, hermitian=True) @ linear)
