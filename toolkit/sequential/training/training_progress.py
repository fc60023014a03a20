"""Progress of a training: epochs done, the best of them, and when to stop."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolkit.recipe import ModelSpec


@dataclass
class Progress:
    """Epochs done so far. With the tensors of `TrainingCheckpoint` it is all that a training resumes from.

    - tuned: how many of the epochs hid the last track alone.
    - best: largest value of the selecting metric, or of minus the loss without validation; best_epoch: its epoch.
    - curve: one row per epoch, of epoch, loss, seconds and validation metrics.
    """

    epoch: int = 0
    tuned: int = 0
    best: float = float("-inf")
    best_epoch: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def record(self, row: dict[str, float], select: str) -> bool:
        """Add the row of the last epoch; whether it is the best so far."""
        self.curve.append(row)
        value = row.get(select, -row["loss"])
        improves = value > self.best
        if improves:
            self.best, self.best_epoch = value, self.epoch
        return improves

    def out_of_patience(self, spec: ModelSpec, warmup: int) -> bool:
        """Whether `spec.patience` epochs have passed since the best one, and since the first `warmup` ones."""
        return self.epoch - max(self.best_epoch, warmup) >= spec.patience

    def underfit(self, spec: ModelSpec) -> bool:
        """Whether validation was still improving when the epochs ran out, before or in the last-track epochs."""
        if any(spec.select not in row for row in self.curve):
            return False
        before = [row[spec.select] for row in self.curve][: self.epoch - self.tuned]
        improving = self.best_epoch == self.epoch if self.tuned else False
        return improving or (len(before) == spec.epochs and before.index(max(before)) == len(before) - 1)
