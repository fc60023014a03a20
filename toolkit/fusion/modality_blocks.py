"""Modalities as stored in the item table: prepared, imputed and, if the recipe sets it, jointly reduced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.contracts.missing_policy import Rows
from toolkit.fusion.impute import Filled
from toolkit.fusion.prepare import Prepared, principal
from toolkit.modality import Modality
from toolkit.recipe import Fusion


class SideBySide:
    """Concatenated columns of several blocks: float32 [V + 1, Σ d_m], computed when sliced."""

    def __init__(self, blocks: Sequence[Rows]) -> None:
        self.blocks = blocks
        self.shape = (len(blocks[0]), sum(block.shape[1] for block in blocks))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        return np.concatenate([block[part] for block in self.blocks], axis=1)


class JointlyReduced:
    """All modalities projected to their first principal axes: float32 [V + 1, d], computed when sliced.

    Row 0 is zero. The axes are fitted to the `fitted` rows, bool [V + 1]. All columns are kept if there are fewer than
    `dim`.
    """

    def __init__(self, blocks: Sequence[Rows], fitted: np.ndarray, dim: int) -> None:
        self.columns = SideBySide(blocks)
        self.middle, self.axes = principal(self.columns, fitted, min(dim, self.columns.shape[1]))
        self.shape = (len(self.columns), self.axes.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        rows = ((self.columns[part] - self.middle) @ self.axes).astype(np.float32)
        if part.start == 0:
            rows[0] = 0
        return rows


def prepared_blocks(modalities: Mapping[str, Modality], fusion: Fusion, fitted: np.ndarray) -> dict[str, Rows]:
    """Return the table's rows by name, float32 [V + 1, d], by modality or jointly with `reduce_joint: pca`.

    - fitted: bool [V + 1], tracks of the training split, to which means, axes and imputed values are fitted.

    Raises `InputError` for too few of these tracks, or for too many columns.
    """
    blocks: list[Rows] = [
        Prepared(
            modality,
            missing=fusion.missing.start,
            reduce=fusion.reduction(name),
            normalise=fusion.normalise,
            fitted=fitted,
        )
        for name, modality in modalities.items()
    ]
    present = np.stack([modality.present for modality in modalities.values()])
    fill = fusion.missing.fit(blocks, present, fitted)
    if fill is not None:
        blocks = [Filled(blocks, present, fill, place) for place in range(len(blocks))]
    kind, _, size = fusion.reduce_joint.partition(":")
    if kind == "pca":
        return {"+".join(modalities): JointlyReduced(blocks, fitted, int(size))}
    return dict(zip(modalities, blocks, strict=True))
