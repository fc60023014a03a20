"""The contract of a join: the part of a recipe that combines the modalities of a track into one vector."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from toolkit.parts import Part

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class JoinInputs:
    """Modalities of n tracks, in the order of the item table.

    - vectors: float [n, d_m] each. Under `keeps_apart` they are in the model's space, [n, H], after LayerNorm.
    - projected: under `keeps_apart` the same vectors before LayerNorm; otherwise `vectors`.
    - present: bool [n, M], which track has which modality; None if the join does not declare `needs_presence`. In
      training, a modality that `modality_dropout` hides is absent.
    """

    vectors: Sequence[torch.Tensor]
    projected: Sequence[torch.Tensor]
    present: torch.Tensor | None


@dataclass(frozen=True)
class Shares:
    """Names of a join's shares. of: the name in `attribution.json`; label: the name in the report."""

    of: str
    label: str


class Network(Protocol):
    """Interface of the `nn.Module` that `Join.module` returns, as the item table calls it."""

    def __call__(self, inputs: JoinInputs) -> torch.Tensor:
        """Return the vectors of n tracks: [n, H] under `keeps_apart`, otherwise [n, width]."""

    def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
        """Return one tensor [n, H] per modality, for late fusion. Called only if the join declares `streams`."""

    def shares(self, inputs: JoinInputs) -> torch.Tensor:
        """Return the weight of each modality in each track, [n, M], from 0 to 1.

        Called only if the join declares `shares`.
        """


class Join(Part):
    """Base class of every join. Its fields are its parameters, and `module` creates the network.

    Entry-point group `segue.joins`.

    A class declares these properties for the item table:

    - keeps_apart: True if each modality is projected into the model's space separately, as in sum and gated. False if
      the module reads the vectors as they are stored and reduced, and the table projects its output, as in concat. Only
      then may a recipe use `reduce_joint` or `normalise: after`.
    - needs_presence: whether the module reads `JoinInputs.present`.
    - leaves_out: whether a missing modality has no influence on a track's vector. A recipe must then not fill it in.
    - streams: whether the module has `streams`, which `architecture: late` needs. The output side then uses their sum
      as the item vector.
    - shares: names of the module's `shares` in reports; None if the module does not have them.
    - key: the name under which the parameters of the module are saved, after `item_table.`.

    The model's initialisation draws the matrices of the module again (`initialisation: xavier`); vectors keep the
    values that `module` set. `segue.plugin.check_join` tests a join against this contract.
    """

    keeps_apart: ClassVar[bool]
    needs_presence: ClassVar[bool] = False
    leaves_out: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    shares: ClassVar[Shares | None] = None
    key: ClassVar[str] = "join"

    @abstractmethod
    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        """Create a module that implements `Network`.

        - dims: number of columns of each of the M modalities that the module reads; under `keeps_apart` each is
          `hidden_size`.
        - hidden_size: H, number of columns of the model's item vectors.

        Draw random numbers only from torch's global generator: the model has seeded it.
        """

    def width(self, dims: Sequence[int]) -> int:
        """Number of columns that the module returns if `keeps_apart` is False. Default: the sum of `dims`."""
        return sum(dims)
