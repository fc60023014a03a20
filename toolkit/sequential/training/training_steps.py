"""Training steps, which compute loss and gradients of a batch and update the weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from toolkit.contracts.loss import Training
from toolkit.corpus.splits import PlaylistSet
from toolkit.devices import wants_bf16
from toolkit.errors import InputError, SegueError
from toolkit.recipe import ModelSpec
from toolkit.sequential.item_space import Step
from toolkit.sequential.network import Network
from toolkit.sequential.training import distributed
from toolkit.sequential.training.batches import Batch, batches
from toolkit.sequential.training.objectives import Objective
from toolkit.sequential.training.row_adam import RowAdamW, clip, gradients


class TrainingSteps:
    """Training steps of a network over a set of playlists.

    - titles: float32 [n, d], title vectors of the n playlists of `train`, if the network reads titles.
    - objective: defines the targets of a step.
    - optimizer: updates every weight except those in `held`.

    Raises `InputError` if no playlist has two tracks.
    """

    def __init__(
        self, network: Network, train: PlaylistSet, spec: ModelSpec, *, device: str, titles: np.ndarray | None
    ) -> None:
        self.network, self.train, self.spec, self.device = network, train, spec, device
        self.titles = None if titles is None else torch.from_numpy(titles).to(device)
        self.processes = distributed.current()
        if not bool((train.lengths >= 2).any()):
            raise InputError(
                f"none of the {len(train)} training playlists has at least 2 tracks, which a sequential model requires:"
                " add longer playlists"
            )
        if spec.adam == "rows":
            network.space.use_sparse_gradients()
        self.optimizer = RowAdamW(self._groups(), lr=spec.lr, fused=True)
        self.bf16 = wants_bf16(spec.bf16, device)
        network.prepare(device)
        training = Training(train.counts(), len(network.space.candidates), spec.batch_tokens, device, self.bf16)
        self.criterion, self.sample = spec.loss.begin(training), spec.loss.sampler(training)
        self.objective = network.objective

    @property
    def held(self) -> list[torch.nn.Parameter]:
        """Weights that are fitted before all others and then fixed: those of the match head, unless learned jointly."""
        match = self.network.space.match
        return [] if match is None or self.spec.match_weights == "joint" else [match.weight]

    def _groups(self) -> list[dict[str, object]]:
        """Return parameter groups with weight decay on matrices only, not on norms, biases and match weights."""
        held = {id(weight) for weight in self.held}
        learned = [p for _, p in self.network.named_parameters() if p.requires_grad and id(p) not in held]
        decayed, free = [p for p in learned if p.ndim >= 2], [p for p in learned if p.ndim < 2]
        return [{"params": decayed, "weight_decay": self.spec.weight_decay}, {"params": free, "weight_decay": 0.0}]

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Yield the batches of an epoch."""
        size, tokens, overlap = self.objective.window(), self.spec.batch_tokens, self.spec.windows == "overlap"
        shuffle = self.spec.shuffle
        return batches(self.train, max_length=size, tokens=tokens, shuffle=shuffle, rng=rng, overlap=overlap)

    def scored(
        self, batch: Batch, objective: Objective | None = None, processes: distributed.Processes | None = None
    ) -> Step:
        """Return the scores of a batch by `objective`, or by the objective of the training if None.

        - processes: the processes that share the batch; default: all processes of the training.
        """
        items = torch.from_numpy(batch.inputs).to(self.device)
        scored = torch.from_numpy(batch.scored).to(self.device)
        titles = None if self.titles is None else self.titles[torch.from_numpy(batch.playlists).to(self.device)]
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.bf16):
            return (objective or self.objective).step(items, scored, titles, self.sample, processes or self.processes)

    def take(self, batch: Batch) -> tuple[torch.Tensor, int]:
        """Take a step, and return its mean loss and number of targets."""
        self.optimizer.zero_grad(set_to_none=True)
        # not the network's: gradients of what is held pile up unused
        learned = [p for group in self.optimizer.param_groups for p in group["params"]]
        loss, targets = self.backward(self.scored(batch), batch, learned)
        clip(learned, 1.0)
        self.optimizer.step()
        self.network.space.release()
        return loss, targets

    def backward(self, step: Step, batch: Batch, learned: Sequence[torch.Tensor]) -> tuple[torch.Tensor, int]:
        """Compute the gradients of `learned` over the batch, and return its mean loss and number of targets.

        The batch, loss and number of targets are those of all processes.
        """
        loss = self.criterion(step.scores, step.targets)
        if loss.ndim:
            raise SegueError(
                f"loss {self.spec.loss.type!r} returned shape {tuple(loss.shape)} and must return a scalar: return the"
                " mean of the losses"
            )
        loss.backward()
        targets = len(step.targets) if self.processes.has_rows(len(batch.inputs)) else 0
        return self.processes.mean(loss.detach(), targets, gradients(learned))
