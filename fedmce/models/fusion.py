"""What every fusion is: its input, its base class, and the sum over a subset's members.

Every fusion reads tokens in the subset only: tokens outside are taken out by ``torch.where`` before any
arithmetic, so even a NaN there changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fedmce.models.spec import NetworkSpec


@dataclass(frozen=True)
class FusionInput:
    """What a fusion is given.

    Attributes:
        token_bmd: tokens, ``(rows, modalities, width)``.
        projected_bmh: tokens after ``projection.m``, ``(rows, modalities, hidden)``, or None.
        unimodal_bmc: logits of the unimodal heads, ``(rows, modalities, classes)``, or None.
        row_p: row of each pair, int64 ``(pairs,)``.
        member_pm: modalities of each pair's subset, bool ``(pairs, modalities)``, never empty.
    """

    token_bmd: Tensor
    projected_bmh: Tensor | None
    unimodal_bmc: Tensor | None
    row_p: Tensor
    member_pm: Tensor


class Fusion(nn.Module):
    """State of each pair, then logits from it; the state is what RCE may ask completion to predict.

    Attributes:
        uses_projection: the first layer lives in the components ``projection.m``.
    """

    uses_projection = False

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()

    @staticmethod
    def state_size(spec: NetworkSpec) -> int:
        """Length of a state."""
        return spec.hidden

    def state(self, given: FusionInput) -> Tensor:
        """What the fusion makes of each pair's subset, ``(pairs, state size)``."""
        raise NotImplementedError

    def read(self, state: Tensor, given: FusionInput) -> Tensor:
        """Logits ``(pairs, classes)``."""
        raise NotImplementedError

    def forward(self, given: FusionInput) -> tuple[Tensor, Tensor]:
        """Logits ``(pairs, classes)`` and states."""
        state = self.state(given)
        return self.read(state, given), state


def sum_over_members(value_bmx: Tensor, given: FusionInput) -> Tensor:
    """Sum over the members of each pair's subset, ``(pairs, x)``."""
    # A compiler fuses what follows, and would compile a bag anew for every size.
    if value_bmx.device.type == "cpu" and not torch.compiler.is_compiling():
        return sum_of_bags(value_bmx, given)
    kept = torch.where(given.member_pm[:, :, None], value_bmx[given.row_p], 0.0)
    return kept.sum(dim=1)


def sum_of_bags(value_bmx: Tensor, given: FusionInput) -> Tensor:
    """The same, reading members alone: no ``(pairs, modalities, x)`` is made, forward or backward."""
    modalities, size = value_bmx.shape[1:]
    table = torch.cat([value_bmx.new_zeros(1, size), value_bmx.reshape(-1, size)])
    place_pm = 1 + given.row_p[:, None] * modalities + torch.arange(modalities)
    return F.embedding_bag(torch.where(given.member_pm, place_pm, 0), table, mode="sum", padding_idx=0)
