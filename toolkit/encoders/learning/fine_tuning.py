"""Pretrained trainable backbones with identical results after a kill."""

from __future__ import annotations

from typing import Self

from torch import Tensor, nn

from toolkit.encoders.image import pretrained_images


class FineTuned(nn.Module):
    """Pretrained network whose weights are trained while the network stays in evaluation mode.

    Dropout is off because a resumed run could not draw the same noise. The published batch statistics are kept because
    the small batches of fine-tuning would degrade them.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        return super().train(False)


class FineTunedImages(FineTuned):
    """Fine-tuned image backbone, which maps float32 [n, 3, h, w] to [n, width] as in `pretrained_images.embed`."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pretrained_images.embed(self.network, pixels)


class FineTunedTexts(FineTuned):
    """Fine-tuned text backbone, which maps token ids int64 [n, L] to the mean over the tokens of each text, [n, width].

    Texts are padded with `pad`. Source: Reimers and Gurevych 2019, section 3.
    """

    def __init__(self, network: nn.Module, pad: int) -> None:
        super().__init__(network)
        self.pad = pad

    def forward(self, tokens: Tensor) -> Tensor:
        mask = tokens != self.pad
        hidden: Tensor = self.network(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        return (hidden * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
