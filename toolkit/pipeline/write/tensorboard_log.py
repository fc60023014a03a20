"""Learning curves for TensorBoard, shown by `tensorboard --logdir RUN/tensorboard`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence

from toolkit.packages import TENSORBOARD
from toolkit.run_directory import RunDirectory

FOLDER = "tensorboard"


def log(run: RunDirectory, system: str, curve: Sequence[Mapping[str, float | None]]) -> None:
    """Write the values of a finished training by epoch, and replace those of an interrupted run.

    Nothing is written for an empty curve, or if TensorBoard is not installed.
    """
    folder = run.path(f"{FOLDER}/{system}")
    shutil.rmtree(folder, ignore_errors=True)
    if not curve or TENSORBOARD.fault:
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for point in curve:
            for name, value in point.items():
                if name != "epoch" and value is not None:
                    # validation metrics share a heading, as in `valid/ndcg@50`
                    writer.add_scalar(f"valid/{name}" if "@" in name else name, value, int(point["epoch"] or 0))
