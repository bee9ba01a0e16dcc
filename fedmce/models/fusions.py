"""Fusions: logits of (row, subset) pairs from tokens, all pairs of a batch in one call.

Every fusion reads tokens in the subset only: tokens outside are taken out by ``torch.where`` before any
arithmetic, so even a NaN there changes nothing. Fusions that begin with a linear map per modality keep
that map as the component ``projection.m``: it belongs to the holders of the modality and is averaged
over them alone, like its encoder.
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


def _sum_over_members(value_bmx: Tensor, given: FusionInput) -> Tensor:
    """Sum over the members of each pair's subset, ``(pairs, x)``."""
    # A compiler fuses what follows, and would compile a bag anew for every size.
    if value_bmx.device.type == "cpu" and not torch.compiler.is_compiling():
        return _sum_of_bags(value_bmx, given)
    kept = torch.where(given.member_pm[:, :, None], value_bmx[given.row_p], 0.0)
    return kept.sum(dim=1)


def _sum_of_bags(value_bmx: Tensor, given: FusionInput) -> Tensor:
    """The same, reading members alone: no ``(pairs, modalities, x)`` is made, forward or backward."""
    modalities, size = value_bmx.shape[1:]
    table = torch.cat([value_bmx.new_zeros(1, size), value_bmx.reshape(-1, size)])
    place_pm = 1 + given.row_p[:, None] * modalities + torch.arange(modalities)
    return F.embedding_bag(torch.where(given.member_pm, place_pm, 0), table, mode="sum", padding_idx=0)


class ConcatFusion(Fusion):
    """Concatenated tokens -> hidden layer -> logits; an absent token takes no part.

    A linear map of a concatenation is the sum of one map per modality, so the first layer lives in the
    projections and this module holds its bias and what follows.
    """

    uses_projection = True

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.bias = nn.Parameter(torch.zeros(spec.hidden))
        self.out = nn.Linear(spec.hidden, len(spec.classes))

    def state(self, given: FusionInput) -> Tensor:
        """Hidden layer, ``(pairs, hidden)``."""
        assert given.projected_bmh is not None
        return (_sum_over_members(given.projected_bmh, given) + self.bias).relu()

    def read(self, state: Tensor, given: FusionInput) -> Tensor:
        """Logits ``(pairs, classes)``."""
        return self.out(state)  # type: ignore[no-any-return]


class ResidualFusion(ConcatFusion):
    """Light fused logits plus the mean of the unimodal logits in the subset.

    The unimodal part alone is a working late fusion; the fused part only has to learn what the
    modalities say together, which is what sites with few complete rows can afford (method.md 5).
    """

    def read(self, state: Tensor, given: FusionInput) -> Tensor:
        """Logits ``(pairs, classes)``."""
        assert given.unimodal_bmc is not None
        count_p = given.member_pm.sum(dim=1, keepdim=True)
        return super().read(state, given) + _sum_over_members(given.unimodal_bmc, given) / count_p


class MeanFusion(Fusion):
    """Mean of the tokens in the subset -> hidden layer -> logits."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.net = nn.Sequential(
            nn.Linear(spec.width, spec.hidden), nn.ReLU(), nn.Linear(spec.hidden, len(spec.classes))
        )

    def state(self, given: FusionInput) -> Tensor:
        """Hidden layer, ``(pairs, hidden)``."""
        count_p = given.member_pm.sum(dim=1, keepdim=True)
        return self.net[1](self.net[0](_sum_over_members(given.token_bmd, given) / count_p))  # type: ignore[no-any-return]

    def read(self, state: Tensor, given: FusionInput) -> Tensor:
        """Logits ``(pairs, classes)``."""
        return self.net[2](state)  # type: ignore[no-any-return]


class TransformerFusion(Fusion):
    """One self-attention layer over a class token and the tokens of the subset."""

    @staticmethod
    def state_size(spec: NetworkSpec) -> int:
        """Length of the class token."""
        return spec.width

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        self.kind = nn.Parameter(torch.randn(len(spec.modalities) + 1, spec.width) * 0.02)
        heads = next(n for n in (4, 2, 1) if spec.width % n == 0)
        self.attention = nn.MultiheadAttention(spec.width, heads, batch_first=True)
        self.norm1, self.norm2 = nn.LayerNorm(spec.width), nn.LayerNorm(spec.width)
        self.feed = nn.Sequential(
            nn.Linear(spec.width, 2 * spec.width), nn.ReLU(), nn.Linear(2 * spec.width, spec.width)
        )
        self.out = nn.Linear(spec.width, len(spec.classes))

    def state(self, given: FusionInput) -> Tensor:
        """Class token after attention, ``(pairs, width)``."""
        member = given.member_pm
        token = torch.where(member[:, :, None], given.token_bmd[given.row_p], 0.0) + self.kind[1:]
        seat = self.kind[:1].expand(len(token), 1, -1)
        sequence = torch.cat([seat, token], dim=1)
        hidden = torch.cat([torch.zeros_like(member[:, :1]), ~member], dim=1)
        mixed, _ = self.attention(sequence[:, :1], sequence, sequence, key_padding_mask=hidden, need_weights=False)
        state = self.norm1(seat + mixed)
        return self.norm2(state + self.feed(state)).squeeze(1)  # type: ignore[no-any-return]

    def read(self, state: Tensor, given: FusionInput) -> Tensor:
        """Logits ``(pairs, classes)``."""
        return self.out(state)  # type: ignore[no-any-return]


FUSIONS: dict[str, type[Fusion]] = {
    "concat": ConcatFusion,
    "mean": MeanFusion,
    "residual": ResidualFusion,
    "transformer": TransformerFusion,
}
