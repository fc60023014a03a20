"""Progress of a training, with the epochs done, the best epoch, and the rule for stopping."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolkit.evaluation.early_stopping import merits
from toolkit.recipe import ModelSpec


@dataclass
class Progress:
    """Epochs done so far, which a training resumes from together with the tensors of `TrainingCheckpoint`.

    - tuned: number of epochs that hid the last track alone.
    - best: largest value of `early_stopping.merits`, or of minus the loss without validation.
    - best_epoch: epoch of `best`.
    - curve: a row for each epoch with epoch, loss, seconds, validation metrics and what else `merits` requires.
    """

    epoch: int = 0
    tuned: int = 0
    best: float = float("-inf")
    best_epoch: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def record(self, row: dict[str, float], select: str) -> bool:
        """Add the row of the last epoch, and return whether it is the best so far."""
        self.curve.append(row)
        value = merits(self.curve, select)[-1] if select in row else -row["loss"]
        improves = value > self.best
        if improves:
            self.best, self.best_epoch = value, self.epoch
        return improves

    def out_of_patience(self, spec: ModelSpec, warmup: int) -> bool:
        """Return whether `spec.patience` epochs have passed since the best epoch and since the first `warmup` ones."""
        return self.epoch - max(self.best_epoch, warmup) >= spec.patience

    def underfit(self, spec: ModelSpec) -> bool:
        """Return whether the last epoch was the best on validation.

        True also if the last epoch before the last-track epochs was the best up to then.
        """
        if any(spec.select not in row for row in self.curve):
            return False
        before = merits(self.curve, spec.select)[: self.epoch - self.tuned]
        improving = self.best_epoch == self.epoch if self.tuned else False
        return improving or (len(before) == spec.epochs and before.index(max(before)) == len(before) - 1)
