"""Base class of joins, which combine the modalities of a track into one vector."""

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

    - vectors: float [n, d_m] each. With `keeps_apart` they are projected to the model's space, [n, H], after LayerNorm.
    - projected: with `keeps_apart` the same vectors before LayerNorm; otherwise equal to `vectors`.
    - present: bool [n, M], which track has which modality; None unless the join declares `needs_presence`. A modality
      removed by `modality_dropout` in training is absent.
    """

    vectors: Sequence[torch.Tensor]
    projected: Sequence[torch.Tensor]
    present: torch.Tensor | None


@dataclass(frozen=True)
class Shares:
    """Names of a join's shares. of: name in `attribution.json`; label: name in the report."""

    of: str
    label: str


class Network(Protocol):
    """Interface of the `nn.Module` returned by `Join.module`."""

    def __call__(self, inputs: JoinInputs) -> torch.Tensor:
        """Return the vectors of n tracks: [n, H] with `keeps_apart`, otherwise [n, width]."""

    def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
        """Return a tensor [n, H] per modality for late fusion. Called only if the join declares `streams`."""

    def shares(self, inputs: JoinInputs) -> torch.Tensor:
        """Return the weight of each modality for each track, [n, M], from 0 to 1.

        Called only if the join declares `shares`.
        """


class Join(Part):
    """Base class of joins, whose fields are their parameters. `module` creates the network.

    Entry-point group `segue.joins`.

    A class declares the following properties for the item table:

    - keeps_apart: True if each modality is projected to the model's space separately, as in sum and gated. False if the
      module reads the stored, reduced vectors and the table projects the module's output, as in concat. `reduce_joint`
      and `normalise: after` are allowed only if False.
    - needs_presence: whether the module reads `JoinInputs.present`.
    - leaves_out: whether a missing modality has no influence on a track's vector. Recipes must then not impute it.
    - streams: whether the module implements `streams`, which `architecture: late` requires. The item vector for the
      output is then the sum of the streams.
    - shares: names of the module's `shares` in reports; None if the module does not implement `shares`.
    - key: name of the module's parameters in saved files, after the prefix `item_table.`.

    The model's initialisation (`initialisation: xavier`) redraws the matrices of the module, whereas vectors keep the
    values set by `module`. `segue.plugin.check_join` tests a join against this contract.
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

        - dims: number of columns of each of the M modalities; with `keeps_apart` each is `hidden_size`.
        - hidden_size: H, number of columns of the model's item vectors.

        Draw random numbers only from torch's global generator, which is seeded by the model.
        """

    def width(self, dims: Sequence[int]) -> int:
        """Return the number of columns of the module's output if `keeps_apart` is False; default: the sum of `dims`."""
        return sum(dims)
