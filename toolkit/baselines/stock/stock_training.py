"""RecBole's own trainer and steps, with our checkpoints, a time limit, and our order of epochs if hits are few.

RecBole stops early by its metric, here MRR@10 of the next track. While almost no next track is among the first 10, a
single hit decides this metric. Such epochs are therefore compared by `toolkit.evaluation.early_stopping`.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import torch

from toolkit.contracts.learning import Learning
from toolkit.encoders.learning.weight_distance import WeightStart
from toolkit.errors import SegueError
from toolkit.evaluation.early_stopping import counted, merits
from toolkit.memory import kept_memory
from toolkit.progress import Progress
from toolkit.sequential.recbole import bridge
from toolkit.sequential.training import checkpoint_tensors

log = logging.getLogger(__name__)

CHECKED = 2
"""Number of batches on which the loss is compared with that of a constant prediction."""


class _TimeIsUp(Exception):
    """Signal that ends RecBole's loop between two steps."""


class _MaskedBatches:
    """Batches of an epoch that have at least one target.

    RecBole's BERT4Rec does not count a mask at position 0. A batch without other masks, such as a few short rows at the
    end of an epoch, has the loss 0 / 0 and stops RecBole's trainer.
    """

    def __init__(self, batches: bridge.TrainDataLoader) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[bridge.Interaction]:
        return (batch for batch in self.batches if "MASK_INDEX" not in batch or bool((batch["MASK_INDEX"] > 0).any()))


class StockTrainer(bridge.Trainer):
    """RecBole's trainer for a model and a split.

    - known: bool [V + 1], tracks in training playlists. The vectors of others are random, and so are their ranks.
    - identity: hash of parameters, seed and data. A checkpoint with another hash is not read.
    - path: checkpoint, written after every epoch and read if it exists. A killed and resumed fit ends with the same
      weights as an uninterrupted fit.
    - max_seconds: limit by `clock` after which no step starts. Seconds before a resume count.
    - on_step: called after each step with the steps done, all steps, and the epoch.

    `run` sets `learning`.
    """

    learning: Learning = Learning()

    def __init__(
        self,
        config: bridge.Config,
        model: torch.nn.Module,
        *,
        known: torch.Tensor,
        identity: str,
        path: Path | None = None,
        max_seconds: float | None = None,
        clock: Callable[[], float] = time.perf_counter,
        on_step: Progress | None = None,
    ) -> None:
        super().__init__(config, model)
        self.path, self.identity, self.on_step = path, identity, on_step
        self.max_seconds, self.clock, self.known = max_seconds, clock, known
        self._ranks: list[tuple[torch.Tensor, torch.Tensor]] = []
        self.best: dict[str, torch.Tensor] = {}
        self.curve: list[dict[str, float]] = []
        self.time_is_up = False
        self.finished = False

    def run(self, train: bridge.TrainDataLoader, valid: bridge.FullSortEvalDataLoader | None) -> None:
        """Train as RecBole does, then restore the best weights."""
        self._spent = 0.0
        start = WeightStart(self.model.parameters())
        self._resume(train)
        self._begin = self.clock()
        self._train = train
        try:
            if not self.finished and self.start_epoch < self.epochs:
                with kept_memory():
                    self.fit(train, valid, verbose=False, saved=True, callback_fn=self._validated)
        except _TimeIsUp:
            self.time_is_up = True
        except ValueError as error:
            if str(error) != "Training loss is nan":
                raise
            raise SegueError(
                f"the loss of {self.config['model']} is nan: reduce learning_rate={self.learning_rate:g}"
            ) from None
        if self.best:
            self.model.load_state_dict(self.best)
        self.model.eval()
        self.learning = self._learning(train, start)

    @torch.no_grad()
    def _learning(self, train: bridge.TrainDataLoader, start: WeightStart) -> Learning:
        """Return the record of the training, with losses without dropout.

        The constant prediction scores each track by its share of the training plays.
        """
        moved, loss, constant, count = start.distance(self.model.parameters()), 0.0, 0.0, 0
        rows = train._dataset.inter_feat
        items = rows[self.model.ITEM_ID] if "MASK_INDEX" not in self.config else rows[self.model.ITEM_SEQ].flatten()
        plays = torch.bincount(items[items > 0], minlength=self.model.n_items).double()
        surprise = -(plays / plays.sum()).log()
        for batch in islice(_MaskedBatches(train), CHECKED):
            targets = batch["MASK_INDEX"] > 0 if "MASK_INDEX" in batch else None
            tracks = batch[self.model.ITEM_ID] if targets is None else batch["Pos_item_id"][targets]
            loss += float(self.model.calculate_loss(batch.to(self.device))) * len(tracks)
            constant, count = constant + float(surprise[tracks.cpu()].sum()), count + len(tracks)
        return Learning(loss / count, constant / count, moved) if count else Learning(moved=moved)

    @property
    def underfit(self) -> bool:
        """Whether training was cut short or the last epoch was the best."""
        return self.time_is_up or bool(self.best_valid_result and self.cur_step == 0)

    def _train_epoch(
        self,
        train_data: bridge.TrainDataLoader,
        epoch_idx: int,
        loss_func: object = None,
        show_progress: bool = False,
    ) -> float:
        steps, total = len(train_data), len(train_data) * self.epochs
        done = epoch_idx * steps

        def step(interaction: bridge.Interaction) -> torch.Tensor:
            nonlocal done
            if self.max_seconds is not None and self._seconds() > self.max_seconds:
                raise _TimeIsUp
            done += 1
            if self.on_step is not None:
                self.on_step(done, total, f"epoch {epoch_idx + 1}/{self.epochs}")
            loss: torch.Tensor = self.model.calculate_loss(interaction)
            return loss

        loss = super()._train_epoch(_MaskedBatches(train_data), epoch_idx, loss_func=step, show_progress=show_progress)
        # None if every batch was left out
        mean = (loss or 0.0) / max(1, done - epoch_idx * steps)
        self.curve.append({"epoch": epoch_idx + 1, "loss": mean, "seconds": self._seconds()})
        log.info("%s epoch %d/%d: loss %.4f", self.config["model"], epoch_idx + 1, self.epochs, mean)
        return loss or 0.0

    def _valid_epoch(
        self, valid_data: bridge.FullSortEvalDataLoader, show_progress: bool = False
    ) -> tuple[float, dict[str, float]]:
        """Return the merit of the epoch, which RecBole compares in place of the metric, and all metrics."""
        self._ranks = []
        score, result = super()._valid_epoch(valid_data, show_progress)
        ranks, known = (torch.cat(each) for each in zip(*self._ranks, strict=True))
        hits, informed = int((ranks <= int(self.valid_metric.partition("@")[2])).sum()), ranks[known].double()
        log_rank = float(informed.log().mean()) if len(informed) else None
        self.curve[-1] |= {"valid": float(score), **counted(hits, log_rank)}
        return merits([row for row in self.curve if "valid" in row], "valid")[-1], result

    def _full_sort_batch_eval(self, batched_data: object) -> tuple[object, ...]:
        """Return the scores of a batch, and count the rank of each target. Ties rank before it."""
        interaction, scores, rows, targets = super()._full_sort_batch_eval(batched_data)
        own = scores[rows, targets.to(scores.device)]
        self._ranks.append(((scores[rows] >= own[:, None]).sum(1).cpu(), self.known[targets.cpu()]))
        return interaction, scores, rows, targets

    def _validated(self, epoch: int, score: float) -> None:
        self.finished = self.cur_step > self.stopping_step
        self._write(epoch)

    def _save_checkpoint(self, epoch: int, verbose: bool = True, **_: object) -> None:
        """Keep the weights.

        RecBole calls this method when validation improves, or after every epoch without validation.
        """
        self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        if "valid" not in self.curve[-1] and self.best_valid_score in (float("inf"), float("-inf")):
            self._write(epoch)

    def _seconds(self) -> float:
        return self._spent + self.clock() - self._begin

    def _write(self, epoch: int) -> None:
        if self.path is None:
            return
        state = {
            "model": self.model.state_dict(),
            "best": self.best,
            "optimizer": checkpoint_tensors.optimizer_tensors(self.optimizer),
            "random": _random_state(self._train.generator),
        }
        info = {
            "identity": self.identity,
            "epoch": epoch,
            "cur_step": self.cur_step,
            "best_valid_score": float(self.best_valid_score),
            "best_valid_result": json.loads(json.dumps(self.best_valid_result)),
            "finished": self.finished,
            "curve": self.curve,
            "seconds": self._seconds(),
        }
        checkpoint_tensors.write(
            self.path,
            {f"{part}.{name}": tensor for part, named in state.items() for name, tensor in named.items()},
            info,
        )

    def _resume(self, train: bridge.TrainDataLoader) -> None:
        if self.path is None or not self.path.exists():
            return
        tensors, info = checkpoint_tensors.read(self.path)
        if info["identity"] != self.identity:
            log.info("%s was written with other parameters or data: training starts from scratch", self.path)
            return
        parts: dict[str, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            part, _, key = name.partition(".")
            parts.setdefault(part, {})[key] = tensor
        self.model.load_state_dict(parts["model"])
        checkpoint_tensors.restore_optimizer(self.optimizer, parts["optimizer"])
        self.best = {name: tensor.to(self.device) for name, tensor in parts["best"].items()}
        self.start_epoch, self.cur_step, self.finished = info["epoch"] + 1, info["cur_step"], info["finished"]
        self.best_valid_score, self.best_valid_result = info["best_valid_score"], info["best_valid_result"]
        self.curve, self._spent = info["curve"], info["seconds"]
        _set_random_state(parts["random"], train.generator)


def _random_state(shuffling: torch.Generator) -> dict[str, torch.Tensor]:
    """Return the states of torch's generator (dropout), Python's (masks) and the loader's (order)."""
    state = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor(random.getstate()[1]),
        "loader": shuffling.get_state(),
    }
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, torch.Tensor], shuffling: torch.Generator) -> None:
    torch.set_rng_state(state["torch"])
    random.setstate((3, tuple(state["python"].tolist()), None))
    shuffling.set_state(state["loader"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
