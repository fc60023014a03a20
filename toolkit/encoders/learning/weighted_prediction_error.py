"""Weighted prediction error: predicted factors are judged by the feedback itself, with the users' factors held.

Source: van den Oord, Dieleman and Schrauwen, "Deep content-based music recommendation", 2013, equation 6: Σ_ui c_ui (p_ui − x_u·ŷ_i)², the
objective of the weighted matrix factorisation (Hu, Koren and Volinsky 2008) with predictions ŷ in place of the items' factors. It is
summed over all users without a step for each: c is 1 and p is 0 but where there are plays, so Σ_u (x_u·ŷ_i)² = ŷ_iᵀ (XᵀX) ŷ_i holds
for all, and only the plays of a batch's tracks are corrected for.
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
    """What factors were made of. users: X, float32 [U, f]. confidence: c of each track's plays, sparse float32 [n, U]."""

    users: np.ndarray
    confidence: sp.csr_matrix

    def take(self, places: np.ndarray) -> Feedback:
        """The feedback of some tracks, in that order."""
        return Feedback(self.users, self.confidence[places])

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Plays of tracks `rows` int [b]: the place in the batch and the user of each, int64, and its confidence, float32."""
        import torch

        part = self.confidence[rows]
        owners = np.repeat(np.arange(len(rows)), np.diff(part.indptr))
        return (
            torch.from_numpy(owners),
            torch.from_numpy(part.indices.astype(np.int64)),
            torch.from_numpy(part.data.astype(np.float32)),
        )

    def unit(self) -> float:
        """The error of predicting zero, on average over the tracks: 1 after division."""
        return max(float(self.confidence.sum()) / max(self.confidence.shape[0], 1), 1e-12)

    def marks(self) -> bytes:
        """What tells it from other feedback."""
        c = self.confidence
        return b"".join(np.ascontiguousarray(part).tobytes() for part in (self.users, c.indptr, c.indices, c.data))


def weighted_error(
    found: Tensor, users: Tensor, gram: Tensor, owners: Tensor, who: Tensor, confidence: Tensor
) -> Tensor:
    """Mean over predictions [b, f] of Σ_u c (p − x_u·ŷ)², a scalar.

    users: X [U, f]; gram: XᵀX [f, f]. owners, who, confidence [plays]: as `Feedback.batch` gives them.
    """
    scores = (found[owners] * users[who]).sum(dim=1)
    played = (confidence * (1 - scores).square() - scores.square()).sum()
    return (((found @ gram) * found).sum() + played) / len(found)
