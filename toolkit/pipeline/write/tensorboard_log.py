"""A system's learning curve as TensorBoard reads it: `tensorboard --logdir RUN/tensorboard`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from toolkit.run_directory import RunDirectory

FOLDER = "tensorboard"


def log(run: RunDirectory, system: str, curve: Sequence[Mapping[str, Any]]) -> None:
    """Write a finished training's values by epoch, in place of those of an earlier try; nothing for what was not trained by epochs."""
    folder = run.path(f"{FOLDER}/{system}")
    shutil.rmtree(folder, ignore_errors=True)
    if not curve:
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder)) as writer:
        for point in curve:
            for name, value in point.items():
                if name != "epoch":
                    # validation metrics stand under one heading, as `valid/ndcg@50`
                    writer.add_scalar(f"valid/{name}" if "@" in name else name, value, int(point["epoch"]))
