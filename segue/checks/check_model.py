"""Conformance suite for sequential models, which tests the contract `toolkit.recipe.ModelSpec`."""

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

    The model is trained for a few epochs on 60 synthetic playlists. Use small sizes, such as `hidden_size=16` and
    `max_length=10`.
    """
    assert spec.max_length >= max(LENGTHS), (
        f"max_length={spec.max_length} must be at least {max(LENGTHS)} in check_model"
    )
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
    """Return item vectors float64 [4, 5, H] of playlists with 5, 3, 1 and 0 tracks, and the mask of their positions."""
    draw = torch.Generator().manual_seed(1)
    vectors = torch.randn(4, max(LENGTHS), spec.hidden_size, generator=draw, dtype=torch.float64)
    kept = torch.arange(max(LENGTHS))[None] < torch.tensor([*LENGTHS, 0])[:, None]
    return vectors * kept[..., None], kept


def check_declaration(spec: ModelSpec) -> None:
    """Check that objective and settings are declared and unchanged by a recipe."""
    name = type(spec).__name__
    assert spec.objective in ("causal", "masked"), f"{name}: objective={spec.objective!r} must be 'causal' or 'masked'"
    reread = type(spec).model_validate(spec.model_dump(mode="json"))
    assert reread == spec, f"{name}: a recipe must keep the settings unchanged: use only strings, numbers and booleans"
    assert all(
        isinstance(size, int) for size in (spec.layer_parameters(), spec.position_numbers(), spec.tuning_epochs)
    ), f"{name}: layer_parameters, position_numbers and tuning_epochs must be integers"


@torch.no_grad()
def check_states(spec: ModelSpec, layers: nn.Module, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Check that states have the inputs' shape and are finite and repeatable in evaluation mode."""
    name, states = type(spec).__name__, layers(vectors, kept)
    assert isinstance(states, torch.Tensor) and states.shape == vectors.shape, (
        f"{name}: forward(vectors, kept) returned shape {tuple(getattr(states, 'shape', ()))} and must return"
        f" {tuple(vectors.shape)}"
    )
    assert bool(states.isfinite().all()), (
        f"{name}: states must be finite: handle rows without tracks, where `kept` is False"
    )
    assert torch.equal(states, layers(vectors, kept)), (
        f"{name}: calls in evaluation mode must be repeatable: draw only if `self.training`"
    )
    part = layers(vectors[:, :1], kept[:, :1])
    assert part.shape == vectors[:, :1].shape, (
        f"{name}: T=1 must work: playlists shorter than max_length are not padded"
    )
    return states


@torch.no_grad()
def check_time(
    spec: ModelSpec, layers: nn.Module, vectors: torch.Tensor, kept: torch.Tensor, states: torch.Tensor
) -> None:
    """Check that causal states do not depend on later tracks and that masked states depend on both sides."""
    name = type(spec).__name__
    for place in range(1, max(LENGTHS)):
        changed = vectors.clone()
        # another track, not a shifted one: a LayerNorm removes a constant
        changed[0, place] = torch.randn(
            spec.hidden_size, generator=torch.Generator().manual_seed(place), dtype=torch.float64
        )
        moved = (layers(changed, kept)[0] - states[0]).abs().amax(1)
        assert float(moved[place:].max()) > EXACT, f"{name}: some state must depend on track {place}"
        before = float(moved[:place].max())
        if spec.objective == "causal":
            assert before <= EXACT, (
                f"{name}: states before track {place} depend on it ({before:.2g}): mask later tracks in a causal model"
            )
        else:
            assert before > EXACT, (
                f"{name}: states before track {place} must depend on it: attend to both sides in a masked model"
            )


@torch.no_grad()
def check_padding(
    spec: ModelSpec, layers: nn.Module, vectors: torch.Tensor, kept: torch.Tensor, states: torch.Tensor
) -> None:
    """Check that neither the values nor the amount of padding change the state of a track."""
    name = type(spec).__name__
    filled = torch.where(kept[..., None], vectors, 7.0)
    change = float((layers(filled, kept) - states)[kept].abs().max())
    assert change <= EXACT, (
        f"{name}: padding changes the states of tracks by {change:.2g}: mask positions where `kept` is False"
    )
    for row, length in enumerate(LENGTHS):
        change = float(
            (layers(vectors[row : row + 1, :length], kept[row : row + 1, :length])[0] - states[row, :length])
            .abs()
            .max()
        )
        assert change <= EXACT, (
            f"{name}: the amount of padding changes the states of {length} tracks by {change:.2g}: mask padding"
        )


@torch.no_grad()
def check_rows(
    spec: ModelSpec, layers: nn.Module, vectors: torch.Tensor, kept: torch.Tensor, states: torch.Tensor
) -> None:
    """Check that a playlist's states do not depend on other playlists in the batch."""
    order = torch.tensor([2, 0, 3, 1])
    change = float((layers(vectors[order], kept[order]) - states[order])[kept[order]].abs().max())
    assert change <= EXACT, (
        f"{type(spec).__name__}: other playlists change states by {change:.2g}: compute each row independently"
    )


def check_gradients(spec: ModelSpec, vectors: torch.Tensor, kept: torch.Tensor) -> None:
    """Check that item vectors get a gradient and that gradients are finite, also with an empty playlist."""
    name, layers = type(spec).__name__, spec.architecture().train()
    leaf = vectors.float().requires_grad_()
    (layers(leaf, kept)[kept] ** 2).sum().backward()
    grads = [leaf.grad, *(parameter.grad for parameter in layers.parameters())]
    assert grads[0] is not None and bool(grads[0].any()), f"{name}: item vectors must get a gradient"
    assert all(bool(grad.isfinite().all()) for grad in grads if grad is not None), f"{name}: gradients must be finite"


def check_separate(spec: ModelSpec) -> None:
    """Check that each call of `architecture` creates new layers, as late fusion requires."""
    first, second = spec.architecture(), spec.architecture()
    shared = {id(weight) for weight in first.parameters()} & {id(weight) for weight in second.parameters()}
    assert not shared, (
        f"{type(spec).__name__}: calls of architecture() must not share parameters: create layers in the method"
    )


def small(spec: ModelSpec) -> ModelSpec:
    """Return the model with settings for a short training."""
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
    """Check that the loss falls, that every track is ranked, and that a loaded model ranks identically."""
    name = f"{type(spec).__name__} ({fusion.architecture} fusion)"
    ranker = SequentialRanker(small(spec), fusion).fit(walks())
    losses = [row["loss"] for row in ranker.curve]
    assert min(losses[1:]) < losses[0], f"{name}: the loss must fall ({', '.join(f'{loss:.3f}' for loss in losses)})"
    queries, every = (
        Queries.of([[1, 2, 3], [9], [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], []]),
        np.arange(1, TRACKS + 1),
    )
    scores = ranker.score(queries, every)
    assert not np.isnan(scores).any(), f"{name}: scores must not be NaN"
    with tempfile.TemporaryDirectory() as folder:
        ranker.save(Path(folder) / "model")
        loaded = SequentialRanker.load(Path(folder) / "model")
        assert np.array_equal(loaded.rank(queries, 10)[0], ranker.rank(queries, 10)[0]) and np.array_equal(
            loaded.score(queries, every), scores
        ), (
            f"{name}: a loaded model must rank identically: register weights as parameters or buffers, and set `type`"
            " to the path of the class"
        )


class _Killed(BaseException):
    """An exception that ends a training as a signal would."""


def check_resume(spec: ModelSpec) -> None:
    """Check that a training killed in the third epoch resumes to the weights of an uninterrupted training."""
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
        f"{type(spec).__name__}: a resumed training must give the same weights, unlike {different[0]}: keep state in"
        " parameters, and draw from torch's generator"
    )
