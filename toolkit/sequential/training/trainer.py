"""Training on all positions with early stopping; an epoch is the unit of resumption."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from toolkit.contracts.loss import Training
from toolkit.corpus.splits import PlaylistSet
from toolkit.devices import wants_bf16
from toolkit.errors import InputError, SegueError
from toolkit.memory import give_back_memory
from toolkit.recipe import ModelSpec
from toolkit.seeds import derived_seed
from toolkit.sequential.item_space import Step
from toolkit.sequential.training import checkpoints, distributed
from toolkit.sequential.training.batches import Batch, batches
from toolkit.sequential.training.row_adam import RowAdamW, clip, gradients

log = logging.getLogger(__name__)

MATCH_STEPS = 60
MATCH_LR = 0.1
"""A handful of convex parameters: they are there after a few dozen steps."""

TRIMMED = 16
"""Steps after which memory is given back: batches of other shapes leave holes between each other's, half a gigabyte at 16,384 tokens."""

Validate = Callable[[], dict[str, float]]
OnStep = Callable[[int, int, str], None]


@dataclass
class Progress:
    """Where training stands; with the tensors it is the whole checkpoint. `tuned` of the epochs hid the last track alone."""

    epoch: int = 0
    tuned: int = 0
    best: float = float("-inf")
    best_epoch: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Fits a sequential network to playlists.

    titles: float32 [n, d] for the n playlists of `train`, where the model reads titles.
    validate: metrics of the model as it is; `spec.select` names the one that decides.
    """

    def __init__(
        self,
        model: Any,
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
        self.model, self.train, self.spec = model, train, spec
        self.seed, self.device, self.validate = seed, device, validate
        self.titles = None if titles is None else torch.from_numpy(titles).to(device)
        self.path = None if workdir is None else workdir / "training.safetensors"
        self.clock, self.on_step = clock, on_step
        self.processes = distributed.current()
        if not bool((train.lengths >= 2).any()):
            raise InputError(
                f"none of {len(train)} training playlists has 2 tracks: a sequential model learns from each track's next"
            )
        if spec.adam == "rows":
            model.sparse_gradients()
        self.optimizer = RowAdamW(_groups(model, spec), lr=spec.lr, fused=True)
        self.bf16 = wants_bf16(spec.bf16, device)
        model.prepare(device)
        training = Training(train.counts(), len(model.candidates), spec.batch_tokens, device, self.bf16)
        self.criterion, self.sample = spec.loss.begin(training), spec.loss.sampler(training)
        self.best: dict[str, torch.Tensor] = {}
        self._start_average()
        self.identity = "" if workdir is None else self._identity()

    def _identity(self) -> str:
        """Of everything that the weights after an epoch depend on, but for how many epochs there are."""
        table = self.model.item_table
        fusion = None if table is None else table.fusion.model_dump(mode="json")
        # more epochs go on where fewer ended, unless other ones followed them
        free = set() if self.spec.tuning_epochs else {"epochs", "patience"}
        settings = [self.seed, self.spec.model_dump(mode="json", exclude=free), fusion]
        digest = hashlib.blake2b(json.dumps(settings, sort_keys=True).encode(), digest_size=16)
        content = [*self.model.buffers(), *([] if self.titles is None else [self.titles])]
        for array in (
            *self.train.flat(),
            *(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy() for tensor in content),
        ):
            digest.update(np.ascontiguousarray(array).data)
        self._release()
        return digest.hexdigest()

    def _release(self) -> None:
        """Give back what was read of mapped content."""
        for part in (self.model.item_table, self.model.match):
            if part is not None:
                part.release()

    def _start_average(self) -> None:
        self.average = (
            {name: tensor.clone() for name, tensor in checkpoints.learned(self.model).items()}
            if self.spec.average
            else {}
        )

    def run(self) -> Progress:
        """Train to the last epoch or until `patience` epochs bring nothing; the best weights are left in the model."""
        progress = self._resume()
        self._agree(progress)
        if progress.epoch == 0 and self.model.match is not None and self.spec.match_weights == "first":
            self._match_first()
            self._start_average()
        for weight in _held(self.model, self.spec):
            weight.requires_grad_(False)
        while not progress.tuned and progress.epoch < self.spec.epochs and not self._out_of_patience(progress):
            self._epoch(progress)
            self._save(progress)
        self._tune(progress)
        self.optimizer.state.clear()  # twice the weights: not beside the best ones as well
        if self.best:
            checkpoints.restore(self.model, self.best)
        self.model.eval()
        return progress

    def _agree(self, progress: Progress) -> None:
        """All processes go on from the first one's weights, and each from the same checkpoint."""
        if self.processes.decide(lambda: progress.epoch) != progress.epoch:
            raise SegueError(
                f"the processes of this run see different checkpoints at {self.path}: its folder must be one that all share"
            )
        self.processes.equalise(checkpoints.learned(self.model).values())

    def _out_of_patience(self, progress: Progress) -> bool:
        since = max(progress.best_epoch, self._warmup())
        return self.validate is not None and progress.epoch - since >= self.spec.patience

    def _warmup(self) -> int:
        """Epochs in which content stays as it was given."""
        return self.spec.warmup_epochs if self.spec.train == "warmup" and self.model.item_table is not None else 0

    def _tune(self, progress: Progress) -> None:
        """`tuning_epochs` more from the best weights, asking what is asked at inference: the last track alone."""
        if not self.spec.tuning_epochs:
            return
        if not progress.tuned:
            if self.processes.leads:  # it alone keeps them
                checkpoints.restore(self.model, self.best)
            self.processes.equalise(checkpoints.learned(self.model).values())
            self._start_average()
            if self.validate is None:
                progress.best = float("-inf")  # a loss over last tracks alone says nothing beside one over all
        self.model.last_only = True
        while progress.tuned < self.spec.tuning_epochs:
            progress.tuned += 1
            self._epoch(progress)
            self._save(progress)
        self.model.last_only = False

    def underfit(self, progress: Progress) -> bool:
        """Whether it was still improving when the epochs ran out, those before the last track alone was asked for or all."""
        if self.validate is None:
            return False
        values = [row[self.spec.select] for row in progress.curve]
        before = values[: progress.epoch - progress.tuned]
        improving = progress.best_epoch == progress.epoch if progress.tuned else False
        return improving or (len(before) == self.spec.epochs and before.index(max(before)) == len(before) - 1)

    def _match_first(self) -> None:
        """Fit the match weights alone, as the linear model they are, before the transformer can explain the same placements by heart.

        Learned together with free ids, they melt away on playlists the ids have memorised, and with them what new tracks live on.
        """
        seed = derived_seed(self.seed, "match")
        linear = [self.model.match.weight] + ([] if self.model.popularity is None else [self.model.popularity])
        optimizer = torch.optim.Adam(linear, lr=MATCH_LR)
        self.model.train()
        self.model.linear = True
        for number, batch in zip(range(MATCH_STEPS), self._batches(np.random.default_rng(seed)), strict=False):
            optimizer.zero_grad(set_to_none=True)
            torch.manual_seed(derived_seed(seed, number))
            step = self._scored(batch)
            scores = replace(step.scores, table=step.scores.table.detach())
            self._backward(replace(step, scores=scores), batch, linear)
            optimizer.step()
        self.model.linear = False

    def _epoch(self, progress: Progress) -> None:
        progress.epoch += 1
        start, seed = self.clock(), derived_seed(self.seed, "epoch", progress.epoch)
        self.model.train()
        if self.model.item_table is not None:
            # without a gradient the optimizer passes them by: no step, no decay
            self.model.item_table.deltas.requires_grad_(progress.epoch > self._warmup())
        loss = self._steps(seed, progress.epoch)
        self._check_weights(progress.epoch)
        row: dict[str, float] = {"epoch": progress.epoch, "loss": loss, "seconds": self.clock() - start}
        with self._averaged():
            if self.validate is not None:
                self.model.eval()
                row |= self.processes.decide(self.validate)
            progress.curve.append(row)
            value = row.get(self.spec.select, -loss)
            if value > progress.best:
                progress.best, progress.best_epoch = value, progress.epoch
                if self.processes.leads:
                    self._keep_best(progress)

    def _check_weights(self, epoch: int) -> None:
        """An epoch's last step may leave what no loss has seen. Raises `SegueError`; a norm makes no copy of large tables."""
        if not all(
            np.isfinite(float(torch.linalg.vector_norm(weights.detach()))) for weights in self.model.parameters()
        ):
            raise SegueError(
                f"weights are no longer finite after epoch {epoch}: lower lr={self.spec.lr}, or set bf16: off"
            )

    def _keep_best(self, progress: Progress) -> None:
        """In a file, which is mapped and not read before it is wanted; in memory where there is not a folder to write to."""
        weights = checkpoints.learned(self.model)
        if self.path is None:
            self.best = {name: tensor.clone() for name, tensor in weights.items()}
            return
        checkpoints.write(self._best_file(self.path, progress), weights, {"identity": self.identity})
        self.best = checkpoints.read(self._best_file(self.path, progress))[0]

    @staticmethod
    def _best_file(path: Path, progress: Progress) -> Path:
        """Named by its epoch: a kill before the checkpoint is written leaves the file that the last checkpoint knows."""
        return path.with_name(f"best-{progress.best_epoch}.safetensors")

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The model with its averaged weights, where they are averaged; training goes on from its own."""
        if not self.average:
            yield
            return
        self._swap_average()
        yield
        self._swap_average()

    def _swap_average(self) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.data, self.average[name] = self.average[name], parameter.data

    def _steps(self, seed: int, epoch: int) -> float:
        total, count, done = 0.0, 0, 0
        size, epochs = self._placements(), self.spec.epochs + self.spec.tuning_epochs
        for number, batch in enumerate(self._batches(np.random.default_rng(seed))):
            # dropout, masks and samples draw from torch's global generator: seeded here, it is the same for all, and after a resume
            torch.manual_seed(derived_seed(seed, number))
            loss, targets = self._step(batch)
            # one device synchronisation a step is what the progress bar and the check for NaN cost
            value = float(loss)
            if not np.isfinite(value):
                raise SegueError(f"the loss became {value} in epoch {epoch}: lower lr={self.spec.lr}, or set bf16: off")
            total, count = total + value * targets, count + targets
            # positions new in this window: whatever the windows, an epoch has as many
            done += int((batch.lengths - 1 - batch.scored).sum())
            if number % TRIMMED == 0:
                give_back_memory()
            if self.on_step is not None:
                self.on_step(done, size, f"epoch {epoch}/{epochs}, loss {total / max(count, 1):.3f}")
        self.optimizer.zero_grad(set_to_none=True)  # validation needs their memory for the table it ranks with
        return total / max(count, 1)

    def _placements(self) -> int:
        return int(np.maximum(self.train.lengths - 1, 0).sum())

    def _batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        size = {"max_length": self.model.window(), "tokens": self.spec.batch_tokens}
        return batches(self.train, **size, shuffle=self.spec.shuffle, rng=rng, overlap=self.spec.windows == "overlap")

    def _scored(self, batch: Batch) -> Step:
        items = torch.from_numpy(batch.inputs).to(self.device)
        scored = torch.from_numpy(batch.scored).to(self.device)
        titles = None if self.titles is None else self.titles[torch.from_numpy(batch.playlists).to(self.device)]
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.bf16):
            step: Step = self.model.step(items, scored, titles, self.sample, self.processes)
        return step

    def _step(self, batch: Batch) -> tuple[torch.Tensor, int]:
        self.optimizer.zero_grad(set_to_none=True)
        # not the model's: gradients of what is held pile up unused
        learned = [p for group in self.optimizer.param_groups for p in group["params"]]
        loss, targets = self._backward(self._scored(batch), batch, learned)
        clip(learned, 1.0)
        self.optimizer.step()
        self._release()
        if self.average:
            # over about one epoch: long enough to smooth its noise, short enough to follow
            share = min(1.0, self.spec.batch_tokens / max(1, self.train.lengths.sum()))
            for name, tensor in checkpoints.learned(self.model).items():
                self.average[name].lerp_(tensor, share)
        return loss, targets

    def _backward(self, step: Step, batch: Batch, learned: list[torch.Tensor]) -> tuple[torch.Tensor, int]:
        """Gradients of `learned` from the whole batch, whoever worked on it; its mean loss and number of targets."""
        loss = self.criterion(step.scores, step.targets)
        if loss.ndim:
            raise SegueError(
                f"loss {self.spec.loss.type} returned {tuple(loss.shape)} values: it must return one, their mean"
            )
        loss.backward()
        targets = len(step.targets) if self.processes.has_rows(len(batch.inputs)) else 0
        return self.processes.mean(loss.detach(), targets, gradients(learned))

    def _save(self, progress: Progress) -> None:
        if self.path is None or not self.processes.leads:
            return
        tensors = {f"model.{name}": tensor for name, tensor in checkpoints.learned(self.model).items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.items()}
        tensors |= {
            f"optimizer.{name}": tensor for name, tensor in checkpoints.optimizer_tensors(self.optimizer).items()
        }
        checkpoints.write(self.path, tensors, {"identity": self.identity, **vars(progress)})
        for file in set(self.path.parent.glob("best-*.safetensors")) - {self._best_file(self.path, progress)}:
            file.unlink(missing_ok=True)

    def _resume(self) -> Progress:
        if self.path is None or not self.path.exists():
            return Progress()
        tensors, info = checkpoints.read(self.path)
        if info.pop("identity", None) != self.identity:
            log.info("%s was written with other settings or data: training begins anew", self.path)
            return Progress()
        progress = Progress(**info)
        if progress.best_epoch and not self._best_again(self._best_file(self.path, progress)):
            return Progress()
        parts: dict[str, dict[str, torch.Tensor]] = {"model": {}, "average": {}, "optimizer": {}}
        for name, tensor in tensors.items():
            part, _, key = name.partition(".")
            parts[part][key] = tensor
        checkpoints.restore(self.model, parts["model"])
        checkpoints.restore_optimizer(self.optimizer, parts["optimizer"])
        self.average = {name: tensor.to(self.device) for name, tensor in parts["average"].items()}
        return progress

    def _best_again(self, path: Path) -> bool:
        """Take the best weights from their file; where it is gone or another training's, training begins anew."""
        if not path.exists():
            log.info("%s is missing: training begins anew", path)
            return False
        tensors, info = checkpoints.read(path)
        if info["identity"] != self.identity:
            log.info("%s was written with other settings or data: training begins anew", path)
            return False
        self.best = tensors
        return True


def _held(model: Any, spec: ModelSpec) -> list[torch.nn.Parameter]:
    """Weights that are fitted before everything else and stay."""
    return [] if model.match is None or spec.match_weights == "joint" else [model.match.weight]


def _groups(model: Any, spec: ModelSpec) -> list[dict[str, Any]]:
    """Weight decay on matrices only; norms, biases and match weights are free of it, and the last held unless learned jointly."""
    held = _held(model, spec)
    learned = [p for p in model.parameters() if p.requires_grad and all(p is not weight for weight in held)]
    decayed = [p for p in learned if p.ndim >= 2]
    free = [p for p in learned if p.ndim < 2]
    return [{"params": decayed, "weight_decay": spec.weight_decay}, {"params": free, "weight_decay": 0.0}]
