"""Running average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.sequential.network import Network
from toolkit.sequential.training import checkpoint_tensors


class WeightAverage:
    """Average of a network's weights over about 1 / `share` steps; the network trains on with its own."""

    def __init__(self, network: Network, share: float) -> None:
        self.network, self.share = network, share
        self.start()

    def start(self) -> None:
        """Begin at the weights as they are."""
        self.tensors = {name: tensor.clone() for name, tensor in checkpoint_tensors.learned(self.network).items()}

    def follow(self) -> None:
        """Move towards the weights after a step."""
        for name, tensor in checkpoint_tensors.learned(self.network).items():
            self.tensors[name].lerp_(tensor, self.share)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Give the network its averaged weights for as long as the context lasts."""
        self._swap()
        yield
        self._swap()

    def _swap(self) -> None:
        for name, parameter in self.network.named_parameters():
            parameter.data, self.tensors[name] = self.tensors[name], parameter.data
