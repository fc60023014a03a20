"""Pretrained backbones that are trained further, in a way that a kill does not change."""

from __future__ import annotations

from typing import Any, Self

from torch import Tensor, nn

from toolkit.encoders.image import pretrained_images


class Tuned(nn.Module):
    """A pretrained network whose weights learn while it behaves as when it is used.

    No dropout of its own, which would be drawn from nowhere that a resumed run knows, and batch statistics as they were
    published: with the small batches of fine-tuning they would only get worse.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


class TunedPictures(Tuned):
    """float32 [n, 3, h, w] -> [n, width], as `image_models.embed`."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pretrained_images.embed(self.network, pixels)


class TunedTexts(Tuned):
    """Token ids int64 [n, L], padding `pad` -> [n, width]: the mean over a text's tokens (Reimers and Gurevych 2019, section 3)."""

    def __init__(self, network: Any, pad: int) -> None:
        super().__init__(network)
        self.pad = pad

    def forward(self, tokens: Tensor) -> Tensor:
        mask = tokens != self.pad
        hidden = self.network(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        return (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
