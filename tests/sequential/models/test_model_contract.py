"""Tests of the conformance suite for models, which built-in models pass and broken models fail."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pytest
import torch
from torch import nn

from segue.checks import check_model
from toolkit import plugins
from toolkit.recipe import ModelSpec
from toolkit.recipe.model_section import MaskedSpec

SMALL: dict[str, Any] = {"hidden_size": 16, "max_length": 10}


@pytest.mark.parametrize("name", plugins.names("segue.models"))
def test_built_in_models_pass_check_model(name: str) -> None:
    check_model(plugins.load("segue.models", name)(**SMALL))


@pytest.mark.parametrize(
    "more",
    [
        {"loss": {"type": "gbce", "negatives": 16}, "adam": "rows"},
        {"loss": {"type": "sampled", "negatives": 16}, "head": "untied", "cold_rows": "none"},
        {"match": True, "popularity": True, "neighbours": 4, "train": "finetune"},
        {"loss": "full", "average": True, "id_start": "cooccurrence", "train": "warmup", "warmup_epochs": 1},
    ],
)
@pytest.mark.parametrize("name", ["ligr", "bert4rec"])
def test_models_pass_check_model_with_all_parts(name: str, more: dict[str, Any]) -> None:
    check_model(plugins.load("segue.models", name)(**SMALL, **more))


class Mean(nn.Module):
    """Mean of the tracks so far, multiplied by a matrix, the base of the broken causal models."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.out = nn.Linear(hidden, hidden)

    def mixed(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        vectors = vectors * kept[..., None]
        return vectors.cumsum(1) / kept.cumsum(1).clamp(min=1)[..., None]

    def forward(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.out(self.mixed(vectors, kept))
        return states


class MeanModel(ModelSpec):
    type: str = f"{__name__}:MeanModel"
    layers_class: ClassVar[Any] = Mean

    def architecture(self) -> nn.Module:
        layers: nn.Module = self.layers_class(self.hidden_size)
        return layers


class Whole(Mean):
    """Mean of all tracks on both sides."""

    def mixed(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
        total = (vectors * kept[..., None]).sum(1, keepdim=True)
        return (total / kept.sum(1).clamp(min=1)[:, None, None]).expand_as(vectors)


class BothSides(MaskedSpec):
    type: str = f"{__name__}:BothSides"

    def architecture(self) -> nn.Module:
        return Whole(self.hidden_size)


@pytest.mark.parametrize(
    "spec", [MeanModel(**SMALL), BothSides(**SMALL), BothSides(**SMALL, last_item_epochs=1, mask_ratio=0.5)]
)
def test_small_models_of_both_objectives_pass_check_model(spec: ModelSpec) -> None:
    check_model(spec)


class SeesAhead(MeanModel):
    layers_class = Whole


class OneSided(MeanModel):
    objective: ClassVar[Literal["causal", "masked"]] = "masked"


class CountsPadding(MeanModel):
    class Layers(Mean):
        def mixed(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
            return vectors / vectors.shape[1]

    layers_class = Layers


class ReadsPadding(BothSides):
    class Layers(Whole):
        def mixed(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
            return vectors.mean(1, keepdim=True).expand_as(vectors)

    def architecture(self) -> nn.Module:
        return self.Layers(self.hidden_size)


class EmptyRows(MeanModel):
    class Layers(Mean):
        def mixed(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
            return (vectors * kept[..., None]).cumsum(1) / kept.cumsum(1)[..., None]

    layers_class = Layers


class MixesRows(MeanModel):
    class Layers(Mean):
        def mixed(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
            return super().mixed(vectors, kept) + 0.1 * vectors[:1] * kept[..., None]

    layers_class = Layers


class OtherShape(MeanModel):
    class Layers(Mean):
        def forward(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
            last: torch.Tensor = super().forward(vectors, kept)[:, -1]
            return last

    layers_class = Layers


class DropsAlways(MeanModel):
    class Layers(Mean):
        def forward(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(super().forward(vectors, kept), 0.5)

    layers_class = Layers


class SharesLayers(MeanModel):
    made: ClassVar[list[nn.Module]] = []

    def architecture(self) -> nn.Module:
        if not self.made:
            self.made.append(Mean(self.hidden_size))
        return self.made[0]


class Deaf(MeanModel):
    class Layers(Mean):
        def mixed(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
            return torch.ones_like(vectors)

    layers_class = Layers


class Forgets(MeanModel):
    """Counter that is not a buffer, so a saved model ranks differently."""

    class Layers(Mean):
        def __init__(self, hidden: int) -> None:
            super().__init__(hidden)
            self.steps = 0

        def forward(self, vectors: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
            self.steps += self.training
            return super().forward(vectors, kept) * (
                1 + torch.linspace(0, 1, vectors.shape[-1], dtype=vectors.dtype) * self.steps
            )

    layers_class = Layers


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (SeesAhead, "mask later tracks in a causal model"),
        (OneSided, "attend to both sides in a masked model"),
        (CountsPadding, "the amount of padding changes the states"),
        (ReadsPadding, "mask positions where `kept` is False|the amount of padding changes the states"),
        (EmptyRows, "states must be finite"),
        (MixesRows, "compute each row independently|the amount of padding changes the states"),
        (OtherShape, "and must return"),
        (DropsAlways, "calls in evaluation mode must be repeatable"),
        (SharesLayers, "must not share parameters"),
        (Deaf, "some state must depend on track"),
        (Forgets, "a loaded model must rank identically"),
    ],
)
def test_broken_model_fails_check_model(cls: type[ModelSpec], message: str) -> None:
    with pytest.raises(AssertionError, match=message) as caught:
        check_model(cls(type=f"{__name__}:{cls.__name__}", **SMALL))
    assert cls.__name__ in str(caught.value)


def test_model_without_architecture_raises_type_error() -> None:
    class Empty(ModelSpec):
        type: str = "empty"

    with pytest.raises(TypeError, match="architecture"):
        Empty()  # type: ignore[abstract]
