"""The contract of a sequential model, `toolkit.recipe.ModelSpec`, as a test suite."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from segue.checks.toy_playlists import TRACKS, walks
from toolkit.corpus.queries import Queries
from toolkit.recipe import Fusion, ModelSpec
from toolkit.sequential import build_network
from toolkit.sequential.sequential_ranker import SequentialRanker
from toolkit.sequential.training import checkpoint_tensors as checkpoints
from toolkit.sequential.training.trainer import Trainer

LENGTHS = (5, 3, 1)
EXACT = 1e-9
"""Allowed difference of states in double precision."""


def check_model(spec: ModelSpec) -> None:
    """Check a model with its settings against the contract. Raises `AssertionError` at the first violation.

    It trains for a few epochs on 60 synthetic playlists: use small sizes, such as `hidden_size=16, max_length=10`.
    """
    assert spec.max_length >= max(LENGTHS), f"give check_model max_length >= {max(LENGTHS)}"
    check_declaration(spec)
    check_separate(spec)
    torch.manual_seed(0)
    layers = spec.architecture().double().eval()
    vectors, kept = inputs(spec)
    states = check_states(spec, layers, vectors, kept)
    check_time(spec, layers, vectors, kept, states)
    check_padding(spec, layers, vectors, kept, states)
    check_rows(spec, layers, vectors, kept, states)
    check_gradients(spec, vectors, kept)
    for fusion in (Fusion(join="sum"), Fusion(architecture="late", join="sum")):
        check_training(spec, fusion)
    check_resume(spec)


def inputs(spec: ModelSpec) -> tuple[torch.Tensor, torch.Tensor]:
    """Item vectors float64 [4, 5, H] of playlists of 5, 3, 1 and 0 tracks, and which positions hold one."""
    draw = torch.Generator().manual_seed(1)
    vectors = torch.randn(4, max(LENGTHS), spec.hidden_size, generator=draw, dtype=torch.float64)
    kept = torch.arange(max(LENGTHS))[None] < torch.tensor([*LENGTHS, 0])[:, None]
    return vectors * kept[..., None], kept


def check_declaration(spec: ModelSpec) -> None:
    """Objective and settings are declared, and survive a recipe."""
    name = type(spec).__name__
    assert spec.objective in ("causal", "masked"), (
        f"{name}: objective is {spec.objective!r} and must be causal or masked"
    )
    reread = type(spec).model_validate(spec.model_dump(mode="json"))
    assert reread == spec, (
        f"{name}: its settings are not the same after a recipe: they must be plain values (text, numbers, booleans)"
    )
    assert all(
        isinstance(size, int) for size in (spec.layer_parameters(), spec.position_numbers(), spec.tuning_epochs)
    ), f"{name}: layer_parameters, position_numbers and tuning_epochs are whole numbers"


@torch.no_grad()
def check_states(spec: ModelSpec, layers: nn.Module, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """States of the inputs' shape, finite even for an empty playlist, the same each time in evaluation mode."""
    name, states = type(spec).__name__, layers(vectors, kept)
    assert isinstance(states, torch.Tensor) and states.shape == vectors.shape, (
        f"{name}: forward(vectors, kept) must return states {tuple(vectors.shape)}, not"
        f" {tuple(getattr(states, 'shape', ()))}"
    )
    assert bool(states.isfinite().all()), (
        f"{name}: states are not finite; a row without tracks (`kept` all False) usually breaks it"
    )
    assert torch.equal(states, layers(vectors, kept)), (
        f"{name}: two calls in evaluation mode differ: draw under `self.training` only"
    )
    part = layers(vectors[:, :1], kept[:, :1])
    assert part.shape == vectors[:, :1].shape, (
        f"{name}: playlists shorter than max_length come in as they are: T=1 fails"
    )
    return states


@torch.no_grad()
def check_time(
    spec: ModelSpec, layers: nn.Module, vectors: torch.Tensor, kept: torch.Tensor, states: torch.Tensor
) -> None:
    """Causal: no state depends on a later track. Masked: states depend on tracks of both sides."""
    name = type(spec).__name__
    for place in range(1, max(LENGTHS)):
        changed = vectors.clone()
        # another track, not a shifted one: a LayerNorm removes a constant
        changed[0, place] = torch.randn(
            spec.hidden_size, generator=torch.Generator().manual_seed(place), dtype=torch.float64
        )
        moved = (layers(changed, kept)[0] - states[0]).abs().amax(1)
        assert float(moved[place:].max()) > EXACT, f"{name}: no state depends on track {place}"
        before = float(moved[:place].max())
        if spec.objective == "causal":
            assert before <= EXACT, (
                f"{name}: states before track {place} change with it by {before:.2g}: a causal model must not see ahead"
            )
        else:
            assert before > EXACT, (
                f"{name}: states before track {place} do not change with it: under `masked` they see both sides"
            )


@torch.no_grad()
def check_padding(
    spec: ModelSpec, layers: nn.Module, vectors: torch.Tensor, kept: torch.Tensor, states: torch.Tensor
) -> None:
    """Neither what is at padding nor how much of it there is changes the state of a track."""
    name = type(spec).__name__
    filled = torch.where(kept[..., None], vectors, 7.0)
    change = float((layers(filled, kept) - states)[kept].abs().max())
    assert change <= EXACT, (
        f"{name}: vectors at padding change states of tracks by {change:.2g}: leave out positions where `kept` is False"
    )
    for row, length in enumerate(LENGTHS):
        change = float(
            (layers(vectors[row : row + 1, :length], kept[row : row + 1, :length])[0] - states[row, :length])
            .abs()
            .max()
        )
        assert change <= EXACT, (
            f"{name}: {length} tracks without padding have other states, by {change:.2g}: padding counts somewhere"
        )


@torch.no_grad()
def check_rows(
    spec: ModelSpec, layers: nn.Module, vectors: torch.Tensor, kept: torch.Tensor, states: torch.Tensor
) -> None:
    """A playlist's states do not depend on the other playlists of the batch."""
    order = torch.tensor([2, 0, 3, 1])
    change = float((layers(vectors[order], kept[order]) - states[order])[kept[order]].abs().max())
    assert change <= EXACT, (
        f"{type(spec).__name__}: playlists in another order change states by {change:.2g}: rows must not mix"
    )


def check_gradients(spec: ModelSpec, vectors: torch.Tensor, kept: torch.Tensor) -> None:
    """Training reaches the layers and the item vectors, with finite gradients, an empty playlist among the others."""
    name, layers = type(spec).__name__, spec.architecture().train()
    leaf = vectors.float().requires_grad_()
    (layers(leaf, kept)[kept] ** 2).sum().backward()
    grads = [leaf.grad, *(parameter.grad for parameter in layers.parameters())]
    assert grads[0] is not None and bool(grads[0].any()), f"{name}: item vectors get no gradient"
    assert all(bool(grad.isfinite().all()) for grad in grads if grad is not None), f"{name}: gradients are not finite"


def check_separate(spec: ModelSpec) -> None:
    """Each call of `architecture` makes layers of its own: late fusion has one for each stream."""
    first, second = spec.architecture(), spec.architecture()
    shared = {id(weight) for weight in first.parameters()} & {id(weight) for weight in second.parameters()}
    assert not shared, (
        f"{type(spec).__name__}: two calls of architecture() share parameters: build the layers inside it"
    )


def small(spec: ModelSpec) -> ModelSpec:
    """The model with a short training."""
    settings = {
        "epochs": 4,
        "patience": 4,
        "batch_tokens": 256,
        "lr": 3e-3,
        "select": "ndcg@10",
        "modalities": None,
        "fusion": None,
    }
    fixed = {"warmup_epochs": 1, "titles": False, "cold_system": None, "bf16": "off"}
    return spec.model_copy(update={**settings, **fixed})


def check_training(spec: ModelSpec, fusion: Fusion) -> None:
    """The loss falls, every track is ranked, and a loaded model ranks as the fitted one."""
    name = f"{type(spec).__name__} ({fusion.architecture} fusion)"
    ranker = SequentialRanker(small(spec), fusion).fit(walks())
    losses = [row["loss"] for row in ranker.curve]
    assert min(losses[1:]) < losses[0], f"{name}: the loss does not fall: {', '.join(f'{loss:.3f}' for loss in losses)}"
    queries, every = (
        Queries.of([[1, 2, 3], [9], [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], []]),
        np.arange(1, TRACKS + 1),
    )
    scores = ranker.score(queries, every)
    assert not np.isnan(scores).any(), f"{name}: scores are not numbers"
    with tempfile.TemporaryDirectory() as folder:
        ranker.save(Path(folder) / "model")
        loaded = SequentialRanker.load(Path(folder) / "model")
        assert np.array_equal(loaded.rank(queries, 10)[0], ranker.rank(queries, 10)[0]) and np.array_equal(
            loaded.score(queries, every), scores
        ), (
            f"{name}: a saved model ranks otherwise: weights must be parameters or buffers, and `type` must lead to its"
            " class"
        )


class _Killed(BaseException):
    """Ends a training as a signal would."""


def check_resume(spec: ModelSpec) -> None:
    """A training that was killed in its third epoch ends with the weights of an uninterrupted one."""
    spec = small(spec)

    def fit(workdir: Path | None, kill: bool) -> dict[str, torch.Tensor]:
        data = walks()
        model = build_network.build(spec, Fusion(join="sum"), data.modalities, data.train.counts(), title_dim=0, seed=0)

        def on_step(done: int, total: int, what: str) -> None:
            if kill and what.startswith("epoch 3/"):
                raise _Killed

        Trainer(model, data.train, spec, seed=1, device="cpu", workdir=workdir, on_step=on_step).run()
        return checkpoints.learned(model)

    expected = fit(None, False)
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(_Killed):
            fit(Path(folder), True)
        resumed = fit(Path(folder), False)
    different = [key for key, tensor in expected.items() if not torch.equal(tensor, resumed[key])]
    assert not different, (
        f"{type(spec).__name__}: a resumed training ends with other weights ({different[0]}): state must be in"
        " parameters, and draws from torch's generator"
    )
