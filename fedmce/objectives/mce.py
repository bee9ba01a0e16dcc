"""``mce``: task + LCE + RCE (method.md 2).

Zhao, Zhang, Zou: "MCE: Towards a General Framework for Handling Missing Modalities under Imbalanced
Missing Rates", Pattern Recognition 172, 2026, 112591. The equations are those of method.md 2, which
repairs what the public code does otherwise.

L = L_task + a_uni L_uni + a_sub L_sub + a_comp L_comp [+ a_thr L_through + a_kd L_kd]
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from fedmce.config.schema import MceConfig
from fedmce.errors import ConfigError
from fedmce.models import Batch, MultimodalNet
from fedmce.objectives import published, shortfall
from fedmce.objectives.completion import completion_loss, hidden_terms
from fedmce.objectives.lce import LearningCapability
from fedmce.objectives.objective import (
    Emphasis,
    Loss,
    Objective,
    Silent,
    SiteFacts,
    full_precision,
    objective,
    to_device,
)
from fedmce.objectives.plan import BatchPlan, plan_batch, samples_subsets
from fedmce.objectives.unimodal import WarmUp, unimodal_loss
from fedmce.subsets import AUTO_LIMIT


class MceObjective(Silent):
    """Every (row, subset) pair of a batch is predicted in one call of the fusion."""

    def __init__(self, config: MceConfig, facts: SiteFacts, generator: np.random.Generator) -> None:
        self._config, self._facts, self._generator = config, facts, generator
        self._sampled = samples_subsets(config, len(facts.modalities))
        if self._sampled and config.capability in ("shapley", "published"):
            raise ConfigError(
                f"objective.capability={config.capability}: needs every subset of {len(facts.modalities)} modalities, "
                f"which are drawn beyond {AUTO_LIMIT}. use capability=gap or adaptive, or subsets=all"
            )
        self._capability: LearningCapability | None = None
        self._reference: Tensor | None = None

    def emphasis(self) -> Emphasis:
        """Step sizes or passes by what each modality lacks so far (``incentive``)."""
        if self._capability is None:
            return LearningCapability(self._config, self._facts, torch.device("cpu")).emphasis()
        return self._capability.emphasis()

    def __call__(self, net: MultimodalNet, batch: Batch, available: npt.NDArray[np.bool_]) -> Loss:
        """Loss of one batch."""
        config, device = self._config, batch.targets.device
        if self._capability is None:
            self._capability = LearningCapability(config, self._facts, device)
        plan = plan_batch(config, net, batch, available, self._generator)
        unimodal_bmc = net.unimodal(plan.token_bmd, batch.values)
        assert unimodal_bmc is not None
        logits_pc, state_px = self._predict(net, batch, plan, unimodal_bmc)
        loss_p = F.cross_entropy(logits_pc, plan.target_p, reduction="none")
        parts = {
            "task": loss_p[plan.full_b].mean(),
            "subset": (plan.share_p.to(loss_p.dtype) * loss_p).sum() / batch.rows,
        }
        alone_bmc = full_precision(unimodal_bmc)
        if self._capability.observes:
            self._observe(batch, plan, logits_pc.detach(), alone_bmc.detach())
        weight_m = self._by_modality(self._capability.loss_weights(), len(net.spec.names))
        parts["unimodal"] = self._unimodal(alone_bmc, batch.targets, plan.available_bm, weight_m)
        if config.completion_weight > 0 and len(net.completion):
            parts["completion"] = self._completion(net, plan, state_px, weight_m)
        if config.train_through > 0 and len(net.completion):
            parts["through"] = self._through(net, batch, plan)
        if config.distil_weight > 0:
            parts["distil"] = self._distil(batch, plan, logits_pc)
        weight = {
            "task": 1.0,
            "unimodal": config.unimodal_weight,
            "subset": config.subset_weight,
            "completion": config.completion_weight,
            "through": config.train_through,
            "distil": config.distil_weight,
        }
        total = torch.stack([weight[name] * part for name, part in parts.items() if weight[name] > 0]).sum()
        return Loss(total, {name: part.detach() for name, part in parts.items()})

    def _predict(
        self, net: MultimodalNet, batch: Batch, plan: BatchPlan, unimodal_bmc: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Logits in full precision and fused states of all pairs."""
        switches = self._config.published
        if not (switches.leak or switches.zeros_as_data):
            logits_pc, state_px = net.fuse_states(
                plan.token_bmd, plan.row_p, plan.member_pm, unimodal_bmc, batch.values
            )
            return full_precision(logits_pc), full_precision(state_px)
        # The public code has two paths: the fused one for everything a row holds, and that of its subsets. Both
        # kinds of tokens are stacked, so that the fusion is still called once.
        own_bmd, has_bm = plan.own_bmd, plan.available_bm
        if switches.zeros_as_data:
            own_bmd, has_bm = published.zeros_encoded(net, own_bmd, has_bm, batch)
        row_p, member_pm = plan.row_p + batch.rows, plan.member_pm.clone()
        row_p[plan.full_b] -= batch.rows
        member_pm[plan.full_b] = has_bm
        logits_pc, state_px = net.fuse_states(
            torch.cat([own_bmd, plan.token_bmd]), row_p, member_pm, present=batch.values
        )
        return full_precision(logits_pc), full_precision(state_px)

    def _observe(self, batch: Batch, plan: BatchPlan, logits_pc: Tensor, alone_bmc: Tensor) -> None:
        """Fold the batch into B_m."""
        config, capability = self._config, self._capability
        assert capability is not None
        rows_m = plan.available_bm.sum(dim=0)
        seen = shortfall.Observed(
            value_p=shortfall.values(config.value, logits_pc, plan.target_p),
            row_p=plan.row_p,
            full_b=plan.full_b,
            alone_bm=self._alone(batch, alone_bmc),
            available_bm=plan.available_bm,
        )
        lack_m = shortfall.lack(config, self._facts, seen, plan.pairs, plan.available, plan.member_pm)
        capability.observe(lack_m, rows_m)

    def _alone(self, batch: Batch, alone_bmc: Tensor) -> Tensor:
        """u_im of the batch's rows, ``(rows, modalities)``."""
        if self._facts.reference is None:
            rows, modalities, classes = alone_bmc.shape
            flat = shortfall.values(
                self._config.value, alone_bmc.reshape(-1, classes), batch.targets.repeat_interleave(modalities)
            )
            return flat.reshape(rows, modalities)
        if self._reference is None:
            self._reference = to_device(self._facts.reference, alone_bmc.device).to(alone_bmc.dtype)
        assert batch.index is not None, "a frozen reference needs to know which rows a batch holds"
        return self._reference[batch.index]

    def _by_modality(self, weight_h: Tensor, modalities: int) -> Tensor:
        """Weights of held modalities in data set order, 0 elsewhere."""
        assert self._capability is not None
        return weight_h.new_zeros(modalities).index_copy(0, self._capability.columns, weight_h)

    def _unimodal(self, alone_bmc: Tensor, target_b: Tensor, available_bm: Tensor, weight_m: Tensor) -> Tensor:
        if self._config.published.diluted:
            return (weight_m * published.diluted_unimodal_losses(alone_bmc, target_b, available_bm)).mean()
        return unimodal_loss(alone_bmc, target_b, available_bm, weight_m)

    def _completion(self, net: MultimodalNet, plan: BatchPlan, state_px: Tensor, weight_m: Tensor) -> Tensor:
        config = self._config
        token_bmd = full_precision(plan.token_bmd)
        target = token_bmd if config.completion_target == "token" else state_px[plan.full_b]
        draw = self._generator if self._sampled else None
        return completion_loss(
            net,
            token_bmd.detach() if config.detach_source else token_bmd,
            target.detach() if config.detach_target else target,
            hidden_terms(plan.pairs, plan.available, draw, config.published.lost_terms),
            plan.row_p,
            plan.member_pm,
            weight_m,
            config.completion_distance,
        )

    def _through(self, net: MultimodalNet, batch: Batch, plan: BatchPlan) -> Tensor:
        """Task loss on predictions that use completed tokens for what a subset lacks (method.md 2.4, 5.4).

        Every pair that lacks a modality of the batch counts: all of them alike (``subset_scale=sum``), or as
        their mean over the row.
        """
        token_pmd, has_pm = net.complete(plan.token_bmd, plan.row_p, plan.member_pm, batch.values)
        logits_pc = net.fuse(token_pmd, torch.arange(len(has_pm), device=has_pm.device), has_pm, present=batch.values)
        loss_p = F.cross_entropy(full_precision(logits_pc), plan.target_p, reduction="none")
        lacks_p = (has_pm & ~plan.member_pm).any(dim=1).to(loss_p.dtype)
        if self._config.subset_scale == "mean":
            count_b = lacks_p.new_zeros(batch.rows).index_add(0, plan.row_p, lacks_p)
            lacks_p = lacks_p / count_b.clamp(min=1)[plan.row_p]
        return (lacks_p * loss_p).sum() / batch.rows

    def _distil(self, batch: Batch, plan: BatchPlan, logits_pc: Tensor) -> Tensor:
        """Self-distillation: T^2 KL(g(T, e) / T, no gradient, to g(T, S) / T), with the shares of the subset loss.

        Source: Hinton, Vinyals, Dean 2015, eq. 4, with the full set as teacher of its subsets.
        """
        soft = self._config.distil_temperature
        teacher_bc = (logits_pc[plan.full_b].detach() / soft).log_softmax(dim=1)
        student_pc = (logits_pc / soft).log_softmax(dim=1)
        apart_p = F.kl_div(student_pc, teacher_bc[plan.row_p], reduction="none", log_target=True).sum(dim=1)
        return soft**2 * (plan.share_p.to(apart_p.dtype) * apart_p).sum() / batch.rows


@objective("mce")
def mce(config: MceConfig, facts: SiteFacts, generator: np.random.Generator) -> Objective:
    """Task + LCE + RCE, or the warm-up of its frozen reference."""
    return WarmUp() if facts.warming else MceObjective(config, facts, generator)
