"""Missing-value policy `median`."""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from segue.plugin import Fill, Missing, Rows


class Median(Missing):
    """The median of each column over the training tracks that have the modality."""

    type: str = "median"
    fills: ClassVar[bool] = False  # one neutral value for all, not an estimate for each track

    def fit(self, blocks: Sequence[Rows], present: np.ndarray, fitted: np.ndarray) -> Fill:
        medians = [np.zeros(block.shape[1], np.float32) for block in blocks]
        for median, block, there in zip(medians, blocks, present & fitted, strict=True):
            if there.any():
                median[:] = np.median(block[0 : len(block)][there], axis=0)

        def fill(modality: int, rows: Sequence[np.ndarray], present: np.ndarray) -> np.ndarray:
            return np.tile(medians[modality], (present.shape[1], 1))

        return fill
