"""Every modality as the item table holds it: prepared, filled in where it is missing, and, where asked, reduced together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from toolkit.contracts.missing_policy import Rows
from toolkit.fusion.impute import Filled
from toolkit.fusion.prepare import Prepared, principal
from toolkit.modality import Modality
from toolkit.recipe import Fusion


class JointlyReduced:
    """Modalities side by side on their first principal axes: float32 [V + 1, d], made as it is sliced; row 0 is zero.

    The axes are those of the `fitted` rows, bool [V + 1], and of every column where there are fewer than `dim`.
    """

    def __init__(self, blocks: Sequence[Rows], fitted: np.ndarray, dim: int) -> None:
        self.blocks = blocks
        self.shape = (len(blocks[0]), sum(block.shape[1] for block in blocks))
        self.middle, self.axes = principal(_Beside(blocks), fitted, min(dim, self.shape[1]))
        self.shape = (len(blocks[0]), self.axes.shape[1])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        rows = ((_Beside(self.blocks)[part] - self.middle) @ self.axes).astype(np.float32)
        if part.start == 0:
            rows[0] = 0
        return rows


class _Beside:
    def __init__(self, blocks: Sequence[Rows]) -> None:
        self.blocks = blocks
        self.shape = (len(blocks[0]), sum(block.shape[1] for block in blocks))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, part: slice) -> np.ndarray:
        return np.concatenate([block[part] for block in self.blocks], axis=1)


def joined(modalities: Mapping[str, Modality], fusion: Fusion, fitted: np.ndarray) -> dict[str, Rows]:
    """What the table holds by name, each float32 [V + 1, d]: one entry a modality, or one of all under `reduce_joint: pca`.

    fitted: bool [V + 1], the tracks of the training split: means, axes and what fills in are learned from them.
    Raises `InputError` where there are too few of them, or too many columns.
    """
    prepared: list[Rows] = [
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
    fill = fusion.missing.fit(prepared, present, fitted)
    blocks: list[Rows] = prepared
    if fill is not None:
        blocks = [Filled(prepared, present, fill, place) for place in range(len(prepared))]
    kind, _, size = fusion.reduce_joint.partition(":")
    if kind == "pca":
        return {"+".join(modalities): JointlyReduced(blocks, fitted, int(size))}
    return dict(zip(modalities, blocks, strict=True))
