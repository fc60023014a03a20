"""Checkpoint of a training, with the state to resume from and the best weights."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import torch

from toolkit.corpus.splits import PlaylistSet
from toolkit.recipe import ModelSpec
from toolkit.sequential.network import Network
from toolkit.sequential.training import checkpoint_tensors
from toolkit.sequential.training.training_progress import Progress
from toolkit.sequential.training.weight_average import WeightAverage

log = logging.getLogger(__name__)


class TrainingCheckpoint:
    """Checkpoint files of a training in a folder.

    - folder: None keeps only the best weights, in memory.
    - identity: hash of everything that the weights depend on. Files with another identity are not read.
    - best: the best weights by name; empty before the first epoch.
    """

    def __init__(self, folder: Path | None, identity: str) -> None:
        self.path = None if folder is None else folder / "training.safetensors"
        self.identity = identity
        self.best: dict[str, torch.Tensor] = {}

    def save(
        self, progress: Progress, network: Network, optimizer: torch.optim.Optimizer, average: WeightAverage | None
    ) -> None:
        """Write the state after an epoch."""
        if self.path is None:
            return
        parts = {
            "model": checkpoint_tensors.learned(network),
            "average": {} if average is None else average.tensors,
            "optimizer": checkpoint_tensors.optimizer_tensors(optimizer),
        }
        tensors = {f"{part}.{name}": tensor for part, named in parts.items() for name, tensor in named.items()}
        checkpoint_tensors.write(self.path, tensors, {"identity": self.identity, **vars(progress)})
        for file in set(self.path.parent.glob("best-*.safetensors")) - {self._best_file(self.path, progress)}:
            file.unlink(missing_ok=True)

    def resume(
        self, network: Network, optimizer: torch.optim.Optimizer, average: WeightAverage | None, device: str
    ) -> Progress:
        """Restore the last saved state. Returns an empty progress if there is no state of this training."""
        if self.path is None or not self.path.exists():
            return Progress()
        tensors, info = checkpoint_tensors.read(self.path)
        if info.pop("identity", None) != self.identity:
            return _new_training(f"{self.path} was written with other settings or data")
        progress = Progress(**info)
        if progress.best_epoch:
            best = self._best_file(self.path, progress)
            if not best.exists():
                return _new_training(f"{best} is missing")
            if (weights := checkpoint_tensors.mapped(best, self.identity)) is None:
                return _new_training(f"{best} was written with other settings or data")
            self.best = weights
        parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, _, key = name.partition(".")
            parts[part][key] = tensor
        checkpoint_tensors.restore(network, parts["model"])
        checkpoint_tensors.restore_optimizer(optimizer, parts["optimizer"])
        if average is not None:
            average.tensors = {name: tensor.to(device) for name, tensor in parts["average"].items()}
        return progress

    def keep_best(self, progress: Progress, network: Network) -> None:
        """Keep the current weights as the best, in a memory-mapped file or in memory."""
        weights = checkpoint_tensors.learned(network)
        if self.path is None:
            self.best = {name: tensor.clone() for name, tensor in weights.items()}
            return
        file = self._best_file(self.path, progress)
        checkpoint_tensors.write(file, weights, {"identity": self.identity})
        if (kept := checkpoint_tensors.mapped(file, self.identity)) is not None:
            self.best = kept

    @staticmethod
    def _best_file(path: Path, progress: Progress) -> Path:
        # named by its epoch: a kill before the checkpoint is written leaves the file that the last checkpoint knows
        return path.with_name(f"best-{progress.best_epoch}.safetensors")


def _new_training(reason: str) -> Progress:
    log.info("%s: training starts from scratch", reason)
    return Progress()


def identity(network: Network, train: PlaylistSet, spec: ModelSpec, *, seed: int, titles: torch.Tensor | None) -> str:
    """Return a hash of everything that the weights after an epoch depend on.

    The number of epochs is not part of the hash, so a run with more epochs resumes after the last epoch of a shorter
    run, unless last-track epochs followed.
    """
    table = network.space.table
    fusion = None if table is None else table.fusion.model_dump(mode="json")
    free = set() if spec.tuning_epochs else {"epochs", "patience"}
    settings = [seed, spec.model_dump(mode="json", exclude=free), fusion]
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
    for array in train.flat():
        digest.update(np.ascontiguousarray(array).data)
    for tensor in (*network.buffers(), *([] if titles is None else [titles])):
        digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    network.space.release()
    return digest.hexdigest()
