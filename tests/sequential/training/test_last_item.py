"""Tests of BERT4Rec's last epochs, which hide only the last track: their start, their use, and resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.sequential.training.trainings import Killed, fresh, killer, same, scripted, timeless, trainer, weights
from toolkit.sequential.training.objectives import Masked
from toolkit.sequential.training.training_progress import Progress


def hidden_positions(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """Return the positions of each step's masks, counted from the end, filled during training."""
    positions: list[set[int]] = []
    masks = Masked.masks

    def spy(self: Masked, items: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        masked = masks(self, items, lengths)
        rows, columns = masked.nonzero(as_tuple=True)
        positions.append(set((lengths[rows] - 1 - columns).tolist()))
        return masked

    monkeypatch.setattr(Masked, "masks", spy)
    return positions


def test_last_epochs_hide_the_last_track_and_start_at_the_best_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    made = fresh("bert4rec")
    positions = hidden_positions(monkeypatch)
    validate, seen = scripted(made, [0.5, 0.1, 0.2, 0.6])
    fitted = trainer(made, epochs=9, patience=2, last_item_epochs=1, validate=validate, batch_tokens=100_000)
    started: list[dict[str, torch.Tensor]] = []
    tune = fitted._epoch

    def spy(progress: Progress) -> None:
        started.append({name: tensor.clone() for name, tensor in weights(made).items()})
        tune(progress)

    fitted._epoch = spy  # type: ignore[method-assign]
    progress = fitted.run()
    assert [of_step == {0} for of_step in positions] == [False, False, False, True]
    assert same(started[3], seen[0])
    assert not same(started[3], seen[2])
    assert (progress.epoch, progress.tuned, progress.best_epoch) == (4, 1, 4)
    assert same(weights(made), seen[3])


def test_last_epochs_without_improvement_are_not_kept() -> None:
    made = fresh("bert4rec")
    validate, seen = scripted(made, [0.5, 0.4, 0.3])
    progress = trainer(made, epochs=2, last_item_epochs=1, validate=validate).run()
    assert progress.best_epoch == 1
    assert same(weights(made), seen[0])


def test_last_epochs_with_few_hits_are_kept_if_the_log_rank_falls() -> None:
    """The metric alone would keep the first epoch, with its three hits."""
    made = fresh("bert4rec")
    signals = [{"hits": hits, "log_rank": rank} for hits, rank in ((3, 7.5), (0, 7.0), (1, 6.5))]
    validate, seen = scripted(made, [0.5, 0.0, 0.1], signals)
    fitted = trainer(made, epochs=2, last_item_epochs=1, validate=validate)
    progress = fitted.run()
    assert (progress.best_epoch, progress.best) == (3, -7.5)
    assert same(weights(made), seen[2])
    assert progress.underfit(fitted.spec)


def test_last_epochs_without_validation_are_kept() -> None:
    made = fresh("bert4rec")
    progress = trainer(made, epochs=2, last_item_epochs=2).run()
    assert (progress.epoch, progress.tuned) == (4, 2)
    assert progress.best_epoch > 2


@pytest.mark.parametrize(
    ("values", "wanted"), [([0.1, 0.2, 0.1], True), ([0.2, 0.1, 0.3], True), ([0.2, 0.1, 0.1], False)]
)
def test_underfit_covers_the_last_track_epochs(values: list[float], wanted: bool) -> None:
    made = fresh("bert4rec")
    fitted = trainer(made, epochs=2, last_item_epochs=1, validate=scripted(made, values)[0])
    assert fitted.run().underfit(fitted.spec) is wanted


@pytest.mark.parametrize("epoch", [2, 3, 4])
def test_resuming_before_or_in_the_last_epochs_gives_identical_weights(tmp_path: Path, epoch: int) -> None:
    settings: dict[str, Any] = {"epochs": 2, "last_item_epochs": 2}
    straight, killed, resumed = (fresh("bert4rec") for _ in range(3))
    whole = trainer(straight, **settings).run()
    with pytest.raises(Killed):
        trainer(killed, workdir=tmp_path, on_step=killer(epoch), **settings).run()
    assert timeless(trainer(resumed, workdir=tmp_path, **settings).run()) == timeless(whole)
    assert same(weights(resumed), weights(straight))


def test_more_epochs_after_last_epochs_start_from_scratch(tmp_path: Path) -> None:
    """The weights before the last epochs are no longer available, so training cannot resume from them."""
    straight, first, second = (fresh("bert4rec") for _ in range(3))
    wanted = trainer(straight, epochs=3, last_item_epochs=1).run()
    trainer(first, workdir=tmp_path, epochs=2, last_item_epochs=1).run()
    found = trainer(second, workdir=tmp_path, epochs=3, last_item_epochs=1).run()
    assert timeless(found) == timeless(wanted)
    assert same(weights(second), weights(straight))
