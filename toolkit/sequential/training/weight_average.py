"""Running average of a network's weights over the training steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from toolkit.sequential.network import Network
from toolkit.sequential.training import checkpoint_tensors


class WeightAverage:
    """Average of a network's weights over about 1 / `share` steps, without effect on the training itself."""

    def __init__(self, network: Network, share: float) -> None:
        self.network, self.share = network, share
        self.start()

    def start(self) -> None:
        """Set the average to the current weights."""
        self.tensors = {name: tensor.clone() for name, tensor in checkpoint_tensors.learned(self.network).items()}

    def follow(self) -> None:
        """Move the average towards the weights after a step."""
        for name, tensor in checkpoint_tensors.learned(self.network).items():
            self.tensors[name].lerp_(tensor, self.share)

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Use the averaged weights in the network within a context."""
        self._swap()
        yield
        self._swap()

    def _swap(self) -> None:
        for name, parameter in self.network.named_parameters():
            parameter.data, self.tensors[name] = self.tensors[name], parameter.data
