"""Pretrained backbones that are trained further, with the same result after a kill."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from toolkit.encoders.image import pretrained_images


class FineTuned(nn.Module):
    """A pretrained network whose weights learn while it stays in evaluation mode.

    It has no dropout of its own, which a resumed run could not draw again, and keeps the published batch statistics,
    which the small batches of fine-tuning would only make worse.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


class FineTunedImages(FineTuned):
    """float32 [n, 3, h, w] -> [n, width], as `toolkit.encoders.image.pretrained_images.embed`."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pretrained_images.embed(self.network, pixels)


class FineTunedTexts(FineTuned):
    """Token ids int64 [n, L], with `pad` as padding -> [n, width]: the mean over the tokens of each text.

    Source: Reimers and Gurevych 2019, section 3.
    """

    def __init__(self, network: nn.Module, pad: int) -> None:
        super().__init__(network)
        self.pad = pad

    def forward(self, tokens: Tensor) -> Tensor:
        mask = tokens != self.pad
        hidden: Tensor = self.network(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        return (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
