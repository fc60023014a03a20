"""Models and trainings on the ring of tracks for the tests of the trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from tests.sequential.small_models import model, ring, spec, table
from toolkit.sequential.training.trainer import OnStep, Trainer
from toolkit.sequential.training.training_progress import Progress

V = 48
DATA, _ = ring()
PLAYED = DATA.train.counts() > 0


def fresh(kind: str, *, train: Any = "frozen", **parts: Any) -> Any:
    torch.manual_seed(0)
    content = table(dict(DATA.modalities), PLAYED, hidden_size=16, train=train)
    return model(kind, n_items=V, hidden_size=16, max_length=10, played=PLAYED, table=content, id_dropout=0.2, **parts)


def trainer(made: Any, **changed: Any) -> Trainer:
    fixed: dict[str, Any] = {
        "validate": None,
        "workdir": None,
        "on_step": None,
        "titles": None,
        "train": DATA.train,
        "seed": 7,
    }
    given = {name: changed.pop(name, value) for name, value in fixed.items()}
    kind = "sasrec" if made.causal else "bert4rec"
    return Trainer(made, given.pop("train"), spec(kind, **{"epochs": 4, **changed}), device="cpu", **given)


def scripted(
    made: Any, values: Sequence[float], signals: Sequence[dict[str, float]] = ()
) -> tuple[Callable[[], dict[str, float]], list[dict[str, torch.Tensor]]]:
    """Return a validation function that returns `values` in turn, and a list of the weights at each call.

    - signals: the hits, and log rank, of each call, or none.
    """
    seen: list[dict[str, torch.Tensor]] = []

    def validate() -> dict[str, float]:
        assert not made.training
        seen.append({name: value.detach().clone() for name, value in made.named_parameters()})
        at = len(seen) - 1
        return {"ndcg@10": values[at], "recall@10": 1 - values[at], **(signals[at] if signals else {})}

    return validate, seen


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return set(first) == set(second) and all(torch.equal(value, second[name]) for name, value in first.items())


def weights(made: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach() for name, value in made.named_parameters()}


def timeless(progress: Progress) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in progress.curve]


class Killed(BaseException):
    """Exception that ends a training like a signal."""


def killer(epoch: int) -> OnStep:
    """Return a progress callback that raises `Killed` after the second step of an epoch."""
    steps: list[int] = []

    def on_step(done: int, total: int, what: str) -> None:
        if what.startswith(f"epoch {epoch}/"):
            steps.append(done)
        if len(steps) == 2:
            assert done < total
            raise Killed

    return on_step
