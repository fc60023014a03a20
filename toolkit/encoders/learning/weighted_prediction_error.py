"""Weighted prediction error: predicted factors are judged by the plays themselves, with the factors of the users fixed.

Source: van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013, equation 6: Σ_ui c_ui
(p_ui − x_u·ŷ_i)², the objective of weighted matrix factorisation (Hu, Koren and Volinsky 2008) with predictions ŷ
instead of the factors of the items. It is summed over all users without a step for each: c is 1 and p is 0 except where
there are plays. Therefore Σ_u (x_u·ŷ_i)² = ŷ_iᵀ (XᵀX) ŷ_i holds for all users, and only the plays of a batch's tracks
need a correction.
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
    """The plays from which factors were computed.

    - users: X, factors of the users, float32 [U, f].
    - confidence: c of the plays of each track, sparse float32 [n, U].
    """

    users: np.ndarray
    confidence: sp.csr_matrix

    def take(self, rows: np.ndarray) -> Feedback:
        """The feedback of the tracks at `rows`, in that order."""
        return Feedback(self.users, self.confidence[rows])

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Plays of the tracks at `rows` int [b]: index in the batch and user, int64, and confidence, float32."""
        import torch

        part = self.confidence[rows]
        owners = np.repeat(np.arange(len(rows)), np.diff(part.indptr))
        return (
            torch.from_numpy(owners),
            torch.from_numpy(part.indices.astype(np.int64)),
            torch.from_numpy(part.data.astype(np.float32)),
        )

    def unit(self) -> float:
        """Mean error of a prediction of zero, the unit of the loss."""
        return max(float(self.confidence.sum()) / max(self.confidence.shape[0], 1), 1e-12)

    def identity(self) -> bytes:
        """Bytes that differ from those of any other feedback."""
        c = self.confidence
        return b"".join(np.ascontiguousarray(part).tobytes() for part in (self.users, c.indptr, c.indices, c.data))


def weighted_error(
    predicted: Tensor, users: Tensor, gram: Tensor, owners: Tensor, who: Tensor, confidence: Tensor
) -> Tensor:
    """Mean over predictions [b, f] of Σ_u c (p − x_u·ŷ)², a scalar.

    - users, gram: X [U, f] and XᵀX [f, f].
    - owners, who, confidence: [plays] each, as `Feedback.batch` returns them.
    """
    scores = (predicted[owners] * users[who]).sum(dim=1)
    played = (confidence * (1 - scores).square() - scores.square()).sum()
    return (((predicted @ gram) * predicted).sum() + played) / len(predicted)
