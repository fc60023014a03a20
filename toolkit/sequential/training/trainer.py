"""Trainer of sequential networks with early stopping, which resumes after the last complete epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from toolkit.corpus.splits import PlaylistSet
from toolkit.errors import SegueError
from toolkit.memory import give_back_memory
from toolkit.recipe import ModelSpec
from toolkit.seeds import derived_seed
from toolkit.sequential.network import Network
from toolkit.sequential.training import checkpoint_tensors
from toolkit.sequential.training.match_weights import fit_match_weights
from toolkit.sequential.training.training_checkpoint import TrainingCheckpoint, identity
from toolkit.sequential.training.training_progress import Progress
from toolkit.sequential.training.training_steps import TrainingSteps
from toolkit.sequential.training.weight_average import WeightAverage

TRIMMED = 16
"""Steps after which memory is given back.

Batches of other shapes leave holes between each other's memory: half a gigabyte at 16,384 tokens.
"""

Validate = Callable[[], dict[str, float]]
OnStep = Callable[[int, int, str], None]


class Trainer:
    """Trainer of a sequential network on playlists.

    - titles: float32 [n, d], title vectors of the n playlists of `train`, if the network reads titles.
    - validate: returns metrics of the current network. `spec.select` names the metric that decides.
    - workdir: folder of checkpoints, from which a killed training resumes.
    - on_step: called as on_step(done, total, what) after each step, with counts of the epoch.
    """

    def __init__(
        self,
        network: Network,
        train: PlaylistSet,
        spec: ModelSpec,
        *,
        seed: int,
        device: str,
        validate: Validate | None = None,
        titles: np.ndarray | None = None,
        workdir: Path | None = None,
        clock: Callable[[], float] = time.perf_counter,
        on_step: OnStep | None = None,
    ) -> None:
        self.network, self.spec, self.seed = network, spec, seed
        self.validate, self.clock, self.on_step = validate, clock, on_step
        self.steps = TrainingSteps(network, train, spec, device=device, titles=titles)
        self.processes = self.steps.processes
        # over about one epoch: long enough to smooth its noise, short enough to follow
        share = min(1.0, spec.batch_tokens / max(1, int(train.lengths.sum())))
        self.average = WeightAverage(network, share) if spec.average else None
        named = "" if workdir is None else identity(network, train, spec, seed=seed, titles=self.steps.titles)
        self.checkpoint = TrainingCheckpoint(workdir, named)

    def run(self) -> Progress:
        """Train until the last epoch or until `patience` epochs bring no improvement, then restore the best weights."""
        progress = self.checkpoint.resume(self.network, self.steps.optimizer, self.average, self.steps.device)
        self._agree(progress)
        if progress.epoch == 0 and self.network.space.match is not None and self.spec.match_weights == "first":
            fit_match_weights(self.steps, self.seed)
            self._restart_average()
        for weight in self.steps.held:
            weight.requires_grad_(False)
        while not progress.tuned and progress.epoch < self.spec.epochs:
            if self.validate is not None and progress.out_of_patience(self.spec, self._warmup()):
                break
            self._epoch(progress)
        self._tune(progress)
        self.steps.optimizer.state.clear()  # twice the weights: not beside the best ones as well
        if self.checkpoint.best:
            checkpoint_tensors.restore(self.network, self.checkpoint.best)
        self.network.eval()
        return progress

    def _agree(self, progress: Progress) -> None:
        """Copy the weights of the first process to all processes.

        Raises `SegueError` if the processes resume from different checkpoints.
        """
        if self.processes.decide(lambda: progress.epoch) != progress.epoch:
            raise SegueError(
                f"the processes of this run read different checkpoints at {self.checkpoint.path}: set a work folder"
                " that all processes share"
            )
        self.processes.equalise(checkpoint_tensors.learned(self.network).values())

    def _restart_average(self) -> None:
        if self.average is not None:
            self.average.start()

    def _warmup(self) -> int:
        """Number of first epochs without fine-tuning of content."""
        warms_up = self.spec.train == "warmup" and self.network.space.table is not None
        return self.spec.warmup_epochs if warms_up else 0

    def _tune(self, progress: Progress) -> None:
        """Train `tuning_epochs` more epochs from the best weights, with only the last track hidden as at inference."""
        if not self.spec.tuning_epochs:
            return
        if not progress.tuned:
            if self.processes.leads:  # it alone keeps them
                checkpoint_tensors.restore(self.network, self.checkpoint.best)
            self.processes.equalise(checkpoint_tensors.learned(self.network).values())
            self._restart_average()
            if self.validate is None:
                progress.best = float("-inf")  # a loss over last tracks alone does not compare with one over all
        self.steps.objective = replace(self.steps.objective, last_only=True)
        while progress.tuned < self.spec.tuning_epochs:
            progress.tuned += 1
            self._epoch(progress)

    def _epoch(self, progress: Progress) -> None:
        progress.epoch += 1
        start, seed = self.clock(), derived_seed(self.seed, "epoch", progress.epoch)
        self.network.train()
        if self.network.space.table is not None:
            # without a gradient the optimizer passes them by: no step, no decay
            self.network.space.table.deltas.requires_grad_(progress.epoch > self._warmup())
        loss = self._train(seed, progress.epoch)
        self._check_weights(progress.epoch)
        row: dict[str, float] = {"epoch": progress.epoch, "loss": loss, "seconds": self.clock() - start}
        with nullcontext() if self.average is None else self.average.swapped():
            if self.validate is not None:
                self.network.eval()
                row |= self.processes.decide(self.validate)
            if progress.record(row, self.spec.select) and self.processes.leads:
                self.checkpoint.keep_best(progress, self.network)
        if self.processes.leads:
            self.checkpoint.save(progress, self.network, self.steps.optimizer, self.average)

    def _check_weights(self, epoch: int) -> None:
        """Raise `SegueError` for infinite weights after an epoch's last step, which no loss has been computed from."""
        # a norm makes no copy of large tables
        norms = (torch.linalg.vector_norm(weights) for weights in checkpoint_tensors.learned(self.network).values())
        if not all(np.isfinite(float(norm)) for norm in norms):
            raise SegueError(
                f"weights are not finite after epoch {epoch}: reduce lr={self.spec.lr}, or set `bf16: off`"
            )

    def _train(self, seed: int, epoch: int) -> float:
        """Take the steps of an epoch, and return the mean loss over its targets."""
        total, count, done = 0.0, 0, 0
        size, epochs = (
            int(np.maximum(self.steps.train.lengths - 1, 0).sum()),
            self.spec.epochs + self.spec.tuning_epochs,
        )
        for number, batch in enumerate(self.steps.batches(np.random.default_rng(seed))):
            # dropout, masks and samples draw from torch's global generator: seeded for each step, they are the same in
            # all processes, and after a resume
            torch.manual_seed(derived_seed(seed, number))
            loss, targets = self.steps.take(batch)
            if self.average is not None:
                self.average.follow()
            # one device synchronisation per step is what the progress bar and the check for NaN cost
            value = float(loss)
            if not np.isfinite(value):
                raise SegueError(f"the loss is {value} in epoch {epoch}: reduce lr={self.spec.lr}, or set `bf16: off`")
            total, count = total + value * targets, count + targets
            # positions new in this window: whatever the windows, an epoch has as many
            done += int((batch.lengths - 1 - batch.scored).sum())
            if number % TRIMMED == 0:
                give_back_memory()
            if self.on_step is not None:
                self.on_step(done, size, f"epoch {epoch}/{epochs}, loss {total / max(count, 1):.3f}")
        self.steps.optimizer.zero_grad(set_to_none=True)  # validation needs their memory for the table it ranks with
        return total / max(count, 1)
