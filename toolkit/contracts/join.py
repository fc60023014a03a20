"""What a join is: the part of a recipe that turns the modalities of a track into one vector."""

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
    - projected: under `keeps_apart` the same before LayerNorm; else `vectors`.
    - present: bool [n, M], which track has which modality; None where the join does not declare `needs_presence`. In training a
      modality that `modality_dropout` hides is absent.
    """

    vectors: Sequence[torch.Tensor]
    projected: Sequence[torch.Tensor]
    present: torch.Tensor | None


@dataclass(frozen=True)
class Shares:
    """What a join's shares are called. of: in `attribution.json`; label: in the report."""

    of: str
    label: str


class Network(Protocol):
    """What `Join.module` returns, an `nn.Module`, as the item table calls it."""

    def __call__(self, inputs: JoinInputs) -> torch.Tensor:
        """The vectors of n tracks: [n, H] under `keeps_apart`, else [n, width]."""

    def streams(self, inputs: JoinInputs) -> Sequence[torch.Tensor]:
        """One [n, H] a modality, for late fusion. Called only of a join that declares `streams`."""

    def shares(self, inputs: JoinInputs) -> torch.Tensor:
        """How much each modality weighs in each track, [n, M] between 0 and 1. Called only of a join that declares `shares`."""


class Join(Part):
    """Base of every join: its fields are its parameters, `module` makes what learns. Entry-point group `segue.joins`.

    A class declares what the item table must know of it:

    - keeps_apart: True where each modality is projected into the model's space by itself, as sum and gated have it. False where the
      module reads the vectors as they are stored and reduced, and the table projects what it returns, as concat has it; only then may a
      recipe say `reduce_joint`, or `normalise: after`.
    - needs_presence: whether the module reads `JoinInputs.present`.
    - leaves_out: whether a missing modality has no influence on a track's vector. A recipe must then not fill it in.
    - streams: whether the module has `streams`, which `architecture: late` needs. Their sum is then the item on the output side.
    - shares: what the module's `shares` are called in reports; None where it has none.
    - key: the name under which the parameters of the module are saved, after `item_table.`.

    Matrices of the module are drawn again by the model's initialisation (`initialisation: xavier`); vectors stay as `module` made them.
    `segue.plugin.check_join` tests a join against this contract.
    """

    keeps_apart: ClassVar[bool]
    needs_presence: ClassVar[bool] = False
    leaves_out: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    shares: ClassVar[Shares | None] = None
    key: ClassVar[str] = "join"

    @abstractmethod
    def module(self, dims: Sequence[int], hidden_size: int) -> nn.Module:
        """A new module, called as `Network` says.

        - dims: columns of each of the M modalities as the module reads them; under `keeps_apart` each is `hidden_size`.
        - hidden_size: H, columns of the model's item vectors.

        Draw random numbers from torch's global generator alone: the model has seeded it.
        """

    def width(self, dims: Sequence[int]) -> int:
        """Columns of what the module returns where `keeps_apart` is False; default: all columns side by side."""
        return sum(dims)
