"""Tests of training: convergence, early stopping, best weights, and resuming after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.sequential.small_models import training
from tests.sequential.training.trainings import (
    DATA,
    Killed,
    V,
    fresh,
    killer,
    same,
    scripted,
    timeless,
    trainer,
    weights,
)
from toolkit.corpus.splits import PlaylistSet
from toolkit.errors import InputError, SegueError
from toolkit.sequential.heads.match_head import MatchHead
from toolkit.sequential.training import checkpoint_tensors
from toolkit.sequential.training.match_weights import fit_match_weights
from toolkit.sequential.training.objectives import Causal


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
@pytest.mark.parametrize(
    "loss", ["full", "chunked", {"type": "sampled", "negatives": 32}, {"type": "gbce", "negatives": 32}]
)
def test_loss_decreases_in_training(kind: str, loss: str) -> None:
    curve = trainer(fresh(kind), epochs=6, loss=loss, dropout=0.0).run().curve
    assert [row["epoch"] for row in curve] == [1, 2, 3, 4, 5, 6]
    assert curve[-1]["loss"] < 0.9 * curve[0]["loss"]


def test_full_and_chunked_loss_train_the_same_weights() -> None:
    full, chunked = (trainer(fresh("sasrec"), loss=loss).run().curve for loss in ("full", "chunked"))
    assert [row["loss"] for row in chunked] == pytest.approx([row["loss"] for row in full], rel=1e-4)


def test_training_with_bfloat16_is_close_to_float32() -> None:
    exact, low = (trainer(fresh("sasrec"), bf16=bf16).run().curve for bf16 in ("off", "on"))
    assert [row["loss"] for row in low] == pytest.approx([row["loss"] for row in exact], rel=0.03)
    assert low != exact


def test_shuffled_playlists_differ_in_each_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = []
    step = Causal.step

    def spy(self: Causal, items: torch.Tensor, *rest: Any) -> Any:
        inputs.append(items.tolist())
        return step(self, items, *rest)

    monkeypatch.setattr(Causal, "step", spy)
    trainer(fresh("sasrec"), epochs=2, shuffle=True, batch_tokens=100_000).run()
    assert len(inputs) == 2
    assert sorted(inputs[0]) != sorted(inputs[1])


# the best weights, and when to stop


def test_early_stopping_restores_the_best_weights() -> None:
    made = fresh("sasrec")
    validate, seen = scripted(made, [0.1, 0.5, 0.2, 0.5, 0.9])
    fitted = trainer(made, epochs=9, patience=2, validate=validate)
    progress = fitted.run()
    assert (progress.epoch, progress.best_epoch, progress.best) == (4, 2, 0.5)
    assert same(weights(made), seen[1])
    assert not same(seen[1], seen[3])
    assert not made.training
    assert [row["ndcg@10"] for row in progress.curve] == [0.1, 0.5, 0.2, 0.5]
    assert not progress.underfit(fitted.spec)


def test_early_stopping_uses_the_select_metric() -> None:
    made = fresh("sasrec")
    validate, seen = scripted(made, [0.1, 0.5, 0.2])
    progress = trainer(made, epochs=3, select="recall@10", validate=validate).run()
    assert progress.best_epoch == 1
    assert same(weights(made), seen[0])


def test_underfit_is_true_if_the_last_epoch_is_the_best() -> None:
    for values, wanted in (([0.1, 0.2, 0.3], True), ([0.1, 0.3, 0.2], False), ([0.3, 0.2, 0.1], False)):
        made = fresh("sasrec")
        fitted = trainer(made, epochs=3, validate=scripted(made, values)[0])
        assert fitted.run().underfit(fitted.spec) is wanted


def test_underfit_is_false_without_validation() -> None:
    fitted = trainer(fresh("sasrec"), epochs=2)
    assert not fitted.run().underfit(fitted.spec)


# few hits: the metric of each epoch, its hits, and its mean log rank if hits are few
FEW: dict[str, tuple[list[float], list[int], list[float]]] = {
    "one hit that gets lost": ([0.00085, 0.00085, 0, 0, 0, 0.0003], [1, 1, 0, 0, 0, 1], [8.2, 8.1, 8.0, 7.9, 7.8, 7.7]),
    "no hits": ([0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0], [9.0, 8.5, 8.4, 8.3, 8.2, 8.1]),
    "a lucky first epoch": ([0.03, 0.01, 0.02, 0.01, 0.02, 0.02], [49, 9, 11, 8, 12, 15], [8, 7.5, 7, 6.5, 6, 5.5]),
}


def signals(hits: Sequence[int], ranks: Sequence[float]) -> list[dict[str, float]]:
    return [{"hits": h} | ({"log_rank": rank} if h < 50 else {}) for h, rank in zip(hits, ranks, strict=True)]


@pytest.mark.parametrize("planted", FEW)
def test_training_with_few_hits_continues_while_the_log_rank_falls(planted: str) -> None:
    values, hits, ranks = FEW[planted]
    made = fresh("sasrec")
    validate, seen = scripted(made, values, signals(hits, ranks))
    fitted = trainer(made, epochs=6, patience=3, validate=validate)
    progress = fitted.run()
    assert (progress.epoch, progress.best_epoch, progress.best) == (6, 6, -1 - ranks[-1])
    assert same(weights(made), seen[5])
    assert progress.underfit(fitted.spec)
    assert progress.curve[1]["log_rank"] == ranks[1]


def test_training_with_few_hits_stops_if_the_log_rank_rises() -> None:
    made = fresh("sasrec")
    validate, seen = scripted(made, [0.01, 0.02, 0.03, 0.04], signals([9, 12, 15, 49], [8.0, 7.0, 7.5, 7.25]))
    fitted = trainer(made, epochs=9, patience=2, validate=validate)
    progress = fitted.run()
    assert (progress.epoch, progress.best_epoch) == (4, 2)
    assert same(weights(made), seen[1])
    assert not progress.underfit(fitted.spec)


def test_epochs_with_enough_hits_are_chosen_as_without_hits() -> None:
    """Compare with the same metrics without hits, whatever the log ranks are."""
    runs = []
    for given in ((), signals([50, 400, 60, 400, 50], [1.0] * 5)):
        made = fresh("sasrec")
        validate, _ = scripted(made, [0.1, 0.5, 0.2, 0.5, 0.9], given)
        progress = trainer(made, epochs=9, patience=2, validate=validate).run()
        runs.append((progress.epoch, progress.best_epoch, progress.best, weights(made)))
    assert runs[0][:3] == runs[1][:3] == (4, 2, 0.5)
    assert same(runs[0][3], runs[1][3])


def test_epoch_with_enough_hits_is_better_than_later_epochs_with_few() -> None:
    made = fresh("sasrec")
    validate, seen = scripted(made, [0.5, 0.1, 0.2, 0.4, 0.3], signals([20, 51, 49, 49, 49], [7.0, 6.0, 5.0, 4.0, 3.0]))
    progress = trainer(made, epochs=9, patience=3, validate=validate).run()
    assert (progress.epoch, progress.best_epoch, progress.best) == (5, 2, 0.1)
    assert same(weights(made), seen[1])


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"loss": {"type": "sampled", "batch_negatives": False, "negatives": 16}},
        {"loss": {"type": "gbce", "negatives": 16}},
    ],
)
def test_match_weights_do_not_depend_on_the_transformer(changed: dict[str, Any]) -> None:
    """Fit the match weights next to transformers with different weights."""
    fitted = []
    for size in (1.0, 3.0):
        made = fresh("sasrec", match=MatchHead(DATA.modalities))
        with torch.no_grad():
            made.item_embedding.weight.mul_(size)
            made.match.weight.fill_(1.0)
        fit_match_weights(trainer(made, match=True, **changed).steps, seed=7)
        fitted.append(made.match.weight.detach().clone())
    torch.testing.assert_close(fitted[0], fitted[1], atol=1e-5, rtol=0)
    assert float((fitted[0] - 1).abs().min()) > 0.01


# resuming


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        ("sasrec", {}),
        ("sasrec", {"train": "finetune", "weight_decay": 0.1, "shuffle": True}),
        ("bert4rec", {"loss": {"type": "sampled", "negatives": 16}}),
        ("sasrec", {"max_length": 4}),  # most playlists are longer: each epoch cuts them elsewhere
    ],
)
def test_resuming_a_killed_training_gives_identical_best_weights(
    tmp_path: Path, kind: str, changed: dict[str, Any]
) -> None:
    kept, values = changed.get("train", "frozen"), [0.4, 0.1, 0.2, 0.3]
    settings: dict[str, Any] = {name: value for name, value in changed.items() if name != "train"} | {"patience": 9}
    straight = fresh(kind, train=kept)
    whole = trainer(straight, validate=scripted(straight, values)[0], **settings).run()

    killed = fresh(kind, train=kept)
    with pytest.raises(Killed):
        trainer(killed, workdir=tmp_path, validate=scripted(killed, values)[0], on_step=killer(3), **settings).run()
    resumed = fresh(kind, train=kept)
    with torch.no_grad():
        for parameter in resumed.parameters():
            parameter.add_(1.0)  # whatever it starts with is replaced
    rest = trainer(resumed, workdir=tmp_path, validate=scripted(resumed, values[2:])[0], **settings)
    progress = rest.run()
    assert timeless(progress) == timeless(whole)
    assert (progress.epoch, progress.best_epoch) == (4, 1)
    assert same(weights(resumed), weights(straight))


@pytest.mark.parametrize("planted", FEW)
def test_resuming_a_killed_training_with_few_hits_chooses_the_same_epoch(tmp_path: Path, planted: str) -> None:
    values, hits, ranks = FEW[planted]
    ranks = [*ranks[:4], 9.9, 9.8]  # the fourth epoch is the best
    straight, killed, resumed = (fresh("sasrec") for _ in range(3))
    whole = trainer(straight, epochs=6, validate=scripted(straight, values, signals(hits, ranks))[0]).run()
    validate, _ = scripted(killed, values, signals(hits, ranks))
    with pytest.raises(Killed):
        trainer(killed, epochs=6, workdir=tmp_path, validate=validate, on_step=killer(5)).run()
    validate, _ = scripted(resumed, values[4:], signals(hits, ranks)[4:])
    rest = trainer(resumed, epochs=6, workdir=tmp_path, validate=validate).run()
    assert timeless(rest) == timeless(whole)
    assert (
        (rest.epoch, rest.best_epoch, rest.best) == (whole.epoch, whole.best_epoch, whole.best) == (6, 4, -1 - ranks[3])
    )
    assert same(weights(resumed), weights(straight))


def test_training_begun_without_hits_is_judged_by_the_metric_after_a_resume(tmp_path: Path) -> None:
    """A checkpoint of an earlier version has no hits in its curve. Its metrics do not compare with log ranks."""
    killed, resumed = fresh("sasrec"), fresh("sasrec")
    with pytest.raises(Killed):
        validate, _ = scripted(killed, [0.1, 0.2])
        trainer(killed, workdir=tmp_path, validate=validate, on_step=killer(3)).run()
    validate, seen = scripted(resumed, [0.3, 0.25], signals([12, 11], [7.0, 6.0]))
    fitted = trainer(resumed, workdir=tmp_path, validate=validate)
    progress = fitted.run()
    assert (progress.epoch, progress.best_epoch, progress.best) == (4, 3, 0.3)
    assert same(weights(resumed), seen[0])
    assert not progress.underfit(fitted.spec)


@pytest.mark.parametrize("average", [False, True])
def test_resuming_a_killed_training_gives_identical_last_weights(tmp_path: Path, average: bool) -> None:
    """Without early stopping the last epoch is the best."""
    straight, killed, resumed = (fresh("sasrec") for _ in range(3))
    whole = trainer(straight, average=average).run()
    with pytest.raises(Killed):
        trainer(killed, workdir=tmp_path, on_step=killer(3), average=average).run()
    assert timeless(trainer(resumed, workdir=tmp_path, average=average).run()) == timeless(whole)
    assert same(weights(resumed), weights(straight))


def test_two_epochs_and_two_resumed_epochs_equal_four_epochs(tmp_path: Path) -> None:
    straight, first, second = (fresh("sasrec") for _ in range(3))
    trainer(straight).run()
    trainer(first, workdir=tmp_path, epochs=2).run()
    trainer(second, workdir=tmp_path).run()
    assert same(weights(second), weights(straight))


def test_weight_average_follows_weights_without_changing_training() -> None:
    """Compare with a slow average of each step's weights. The average is kept, and training uses its own weights."""
    plain, averaged = fresh("sasrec"), fresh("sasrec")
    made = trainer(averaged, average=True, epochs=2)
    expected = {name: tensor.clone() for name, tensor in weights(averaged).items()}
    share = min(1.0, made.spec.batch_tokens / DATA.train.lengths.sum())
    assert 0 < share < 1
    seen: list[dict[str, torch.Tensor]] = []

    def follow(done: int, total: int, what: str) -> None:
        seen.append({name: tensor.clone() for name, tensor in weights(averaged).items()})

    made.on_step = follow
    made.run()
    for step in seen:
        expected = {name: expected[name] + share * (step[name] - expected[name]) for name in expected}
    trainer(plain, epochs=2).run()
    for name, tensor in weights(averaged).items():
        torch.testing.assert_close(tensor, expected[name], atol=1e-6, rtol=1e-5)
    assert same(seen[-1], weights(plain))


@pytest.mark.parametrize("foreign", [False, True])
def test_training_without_best_weights_file_starts_from_scratch(tmp_path: Path, foreign: bool) -> None:
    steps: list[int] = []
    whole = trainer(fresh("sasrec"), workdir=tmp_path).run()
    (best,) = tmp_path.glob("best-*.safetensors")
    assert best.name == f"best-{whole.best_epoch}.safetensors"
    if foreign:
        checkpoint_tensors.write(best, checkpoint_tensors.read(best)[0], {"identity": "another"})
    else:
        best.unlink()
    again = trainer(fresh("sasrec"), workdir=tmp_path, on_step=lambda done, total, what: steps.append(done)).run()
    assert steps
    assert timeless(again) == timeless(whole)


def test_best_weights_from_file_equal_best_weights_from_memory(tmp_path: Path) -> None:
    kept, held = fresh("sasrec"), fresh("sasrec")
    for made, workdir in ((kept, tmp_path), (held, None)):
        trainer(made, workdir=workdir, validate=scripted(made, [0.1, 0.5, 0.3, 0.2])[0], patience=4).run()
    assert same(weights(kept), weights(held))
    assert [file.name for file in tmp_path.glob("best-*")] == ["best-2.safetensors"]


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first, second = fresh("sasrec"), fresh("sasrec")
    whole = trainer(first, workdir=tmp_path).run()
    steps: list[int] = []
    again = trainer(second, workdir=tmp_path, on_step=lambda done, total, what: steps.append(done)).run()
    assert not steps
    assert again.curve == whole.curve
    assert same(weights(second), weights(first))


@pytest.mark.parametrize("changed", [{"lr": 1e-2}, {"seed": 8}, {"train": "half"}, {"content": "other"}])
def test_checkpoint_of_other_settings_is_not_resumed(tmp_path: Path, changed: dict[str, Any]) -> None:
    whole = DATA.train
    half = PlaylistSet(whole.corpus, whole.rows[::2], whole.starts[::2], whole.ends[::2])
    settings: dict[str, Any] = {
        name: half if value == "half" else value for name, value in changed.items() if name != "content"
    }
    trainer(fresh("sasrec"), workdir=tmp_path, epochs=2).run()

    def other() -> Any:
        made = fresh("sasrec")
        if "content" in changed:
            made.item_table.content("audio").mul_(2.0)
        return made

    straight, again = other(), other()
    wanted = trainer(straight, **settings).run()
    found = trainer(again, workdir=tmp_path, **settings).run()
    assert timeless(found) == timeless(wanted)
    assert same(weights(again), weights(straight))


def test_training_depends_on_the_seed() -> None:
    one, same_seed, other = (fresh("sasrec") for _ in range(3))
    trainer(one).run()
    trainer(same_seed).run()
    trainer(other, seed=8).run()
    assert same(weights(one), weights(same_seed))
    assert not same(weights(one), weights(other))


# what it says


def test_progress_counts_the_playlist_entries_of_an_epoch() -> None:
    calls: list[tuple[int, int, str]] = []
    trainer(fresh("sasrec"), epochs=2, on_step=lambda *call: calls.append(call)).run()
    size = calls[0][1]
    assert {total for _, total, _ in calls} == {size}
    assert [done for done, _, _ in calls].count(size) == 2
    assert calls[-1][2].startswith("epoch 2/2, loss ")


def test_nan_loss_raises_segue_error() -> None:
    made = fresh("sasrec")
    with torch.no_grad():
        made.item_embedding.weight[5] = float("nan")
    with pytest.raises(SegueError, match=r"the loss is nan in epoch 1: reduce lr=0\.003, or set `bf16: off`") as caught:
        trainer(made).run()
    assert caught.value.exit_code == 1


def test_infinite_weights_after_the_last_step_raise_segue_error() -> None:
    # the one step of the epoch has a finite loss, and what it leaves is never trained on
    with pytest.raises(
        SegueError, match=r"weights are not finite after epoch 1: reduce lr=1e\+300, or set `bf16: off`"
    ):
        trainer(fresh("sasrec"), lr=1e300, epochs=1, batch_tokens=1_000_000).run()


def test_training_on_playlists_of_one_track_raises_input_error() -> None:
    with pytest.raises(InputError, match="none of the 3 training playlists has at least 2 tracks"):
        trainer(fresh("sasrec"), train=training([[1], [2], [3]], V))


@pytest.mark.parametrize("match", [False, True])
def test_gradient_clipping_scales_trained_parameters_to_norm_1(match: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    made = fresh("sasrec", match=MatchHead(DATA.modalities) if match else None)
    norms: list[float] = []
    step = torch.optim.AdamW.step

    def spy(self: torch.optim.AdamW, *rest: Any, **named: Any) -> Any:
        learned = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        norms.append(float(torch.sqrt(sum((p.grad**2).sum() for p in learned))))
        return step(self, *rest, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", spy)
    with torch.no_grad():
        made.item_embedding.weight.mul_(10)
        if match:
            made.match.get_buffer("content").mul_(10)
    trainer(made, epochs=2, match=match).run()
    assert norms == pytest.approx([1.0] * len(norms), abs=1e-4)


def test_weight_decay_applies_only_to_matrices() -> None:
    made = fresh("sasrec")
    decayed, free = trainer(made, weight_decay=0.1).steps.optimizer.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert {p.ndim for p in decayed["params"]} == {2}
    assert {p.ndim for p in free["params"]} <= {0, 1}
    assert len(decayed["params"]) + len(free["params"]) == len(list(made.parameters()))
