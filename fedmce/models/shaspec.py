"""The fusion of ShaSpec: what modalities share stands in for those that are absent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fedmce.models.fusion import Fusion, FusionInput
from fedmce.models.spec import NetworkSpec


class ShaSpecFusion(Fusion):
    """One shared encoder of all tokens beside the specific ones.

    Source: Wang et al., "Multi-modal Learning with Missing Modality via Shared-Specific Feature Modelling", CVPR 2023.
    With token p_m (specific) and s_m = E_s(p_m) (shared): f_m = s_m + W [s_m; p_m] for a member, and the mean of the
    members' s_j for the rest; all f_m side by side -> hidden layer -> logits. Deviations: E_s reads tokens, since
    modalities differ in shape; the mean stands in for an absent modality, where the public code takes the first
    present one. All of it is one component that every site trains.

    Attributes:
        domain: guesses which modality a specific token comes from; only the objective asks it.
    """

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__(spec)
        count = len(spec.modalities)
        self.shared = nn.Sequential(
            nn.Linear(spec.width, spec.width), nn.ReLU(), nn.Linear(spec.width, spec.width), nn.ReLU()
        )
        self.join = nn.Linear(2 * spec.width, spec.width)
        self.domain = nn.Linear(spec.width, count)
        self.mix = nn.Linear(count * spec.width, spec.hidden)
        self.out = nn.Linear(spec.hidden, len(spec.classes))

    def state(self, given: FusionInput) -> Tensor:
        """Hidden layer, ``(pairs, hidden)``."""
        member = given.member_pm[:, :, None]
        token = torch.where(member, given.token_bmd[given.row_p], 0.0)
        shared = self.shared(token)
        whole = shared + self.join(torch.cat([shared, token], dim=2))
        filled = torch.where(member, whole, mean_of_members(shared, given.member_pm)[:, None])
        return self.mix(filled.flatten(1)).relu()  # type: ignore[no-any-return]

    def read(self, state: Tensor, given: FusionInput) -> Tensor:
        """Logits ``(pairs, classes)``."""
        return self.out(state)  # type: ignore[no-any-return]


def mean_of_members(shared_pmd: Tensor, member_pm: Tensor) -> Tensor:
    """Mean of what the members share, ``(pairs, width)``: what stands in for every absent modality."""
    kept = torch.where(member_pm[:, :, None], shared_pmd, 0.0)
    return kept.sum(dim=1) / member_pm.sum(dim=1, keepdim=True)
