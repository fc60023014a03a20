"""Network of `text-cnn`, with word vectors, convolutions of several widths, their maxima, and a dense layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class WordConvolutions(nn.Module):
    """Convolutional network from word numbers int64 [n, length] to [n, hidden].

    Words are numbered from 1, and 0 is padding. `length` must be at least the widest filter. The maximum ignores
    padding, so a text has the same vector in every batch.
    """

    def __init__(self, vectors: Tensor, widths: Sequence[int], filters: int, hidden: int, *, tune: bool) -> None:
        super().__init__()
        self.widths = list(widths)
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=not tune, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv1d(vectors.shape[1], filters, width) for width in widths)
        self.dense = nn.Linear(filters * len(widths), hidden)

    def forward(self, words: Tensor) -> Tensor:
        lengths = (words > 0).sum(dim=1, keepdim=True)  # (n, 1)
        vectors = self.embedding(words).transpose(1, 2)  # (n, dim, length)
        maxima = []
        for width, convolution in zip(self.widths, self.convolutions, strict=True):
            outputs = convolution(vectors).relu()  # (n, filters, length - width + 1)
            positions = torch.arange(outputs.shape[2], device=words.device)
            inside = positions < (lengths - width + 1).clamp_min(1)
            maxima.append((outputs * inside[:, None]).amax(dim=2))
        return self.dense(torch.cat(maxima, dim=1)).relu()
