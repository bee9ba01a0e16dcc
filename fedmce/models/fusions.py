"""Fusions: logits of (row, subset) pairs from tokens, all pairs of a batch in one call.

Fusions that begin with a linear map per modality keep that map as the component ``projection.m``: it belongs
to the holders of the modality and is averaged over them alone, like its encoder. Fusions without parameters
(additive, late) have no component of their own: the heads ``head.m`` are all that they need.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fedmce.models.fusion import Fusion, FusionInput, sum_over_members
from fedmce.models.shaspec import ShaSpecFusion
from fedmce.models.spec import NetworkSpec


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
        return (sum_over_members(given.projected_bmh, given) + self.bias).relu()

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
        return super().read(state, given) + sum_over_members(given.unimodal_bmc, given) / count_p


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
        return self.net[1](self.net[0](sum_over_members(given.token_bmd, given) / count_p))  # type: ignore[no-any-return]

    def read(self, state: Tensor, given: FusionInput) -> Tensor:
        """Logits ``(pairs, classes)``."""
        return self.net[2](state)  # type: ignore[no-any-return]


class AdditiveFusion(Fusion):
    """Sum of the unimodal logits in the subset; no parameters.

    A linear layer on the concatenation of tokens, cut into one map and bias per modality: what OGM-GE (Peng et
    al., CVPR 2022) scores modalities by.
    """

    @staticmethod
    def state_size(spec: NetworkSpec) -> int:
        """One entry per class: the state is the prediction."""
        return len(spec.classes)

    def state(self, given: FusionInput) -> Tensor:
        """Logits, ``(pairs, classes)``."""
        assert given.unimodal_bmc is not None
        return sum_over_members(given.unimodal_bmc, given)

    def read(self, state: Tensor, given: FusionInput) -> Tensor:
        """Logits ``(pairs, classes)``."""
        return state


class LateFusion(AdditiveFusion):
    """Log of the mean probability of the unimodal heads in the subset; no parameters."""

    def state(self, given: FusionInput) -> Tensor:
        """log (1 / |S|) sum over m in S of softmax(u_m), ``(pairs, classes)``."""
        assert given.unimodal_bmc is not None
        member_pmx = given.member_pm[:, :, None]
        # Taken out before the softmax: behind it, the gradient of a NaN outside the subset would be NaN.
        log_pmc = torch.where(member_pmx, given.unimodal_bmc[given.row_p], 0.0).log_softmax(dim=2)
        log_pmc = torch.where(member_pmx, log_pmc, float("-inf"))
        return log_pmc.logsumexp(dim=1) - given.member_pm.sum(dim=1, keepdim=True).log()


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
    "additive": AdditiveFusion,
    "concat": ConcatFusion,
    "late": LateFusion,
    "mean": MeanFusion,
    "residual": ResidualFusion,
    "shaspec": ShaSpecFusion,
    "transformer": TransformerFusion,
}
