"""The MCE objective row by row and subset by subset, as method and paper write it.

L = L_task + a_uni L_uni + a_sub L_sub + a_comp L_comp + a_thr L_thr + a_kd L_kd. Nothing is gathered, padded or
masked: a row is a dict of the samples that it holds, a subset a tuple of names, and a sum is a loop.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from fedmce.config.schema import MceConfig
from fedmce.models import MultimodalNet
from fedmce.objectives import SiteFacts
from tests.oracles import lce_rows, rce_rows
from tests.oracles.lce_rows import ValuedRow, Weights
from tests.oracles.net_rows import (
    Row,
    Tokens,
    fused_logits,
    fused_state,
    negative_log_likelihood,
    proper_subsets,
    rows_in,
    tokens_of,
)
from tests.oracles.published_rows import diluted_unimodal, mixed, with_zeros
from tests.oracles.rce_rows import SeenRow

__all__ = ["MceTwin", "Row", "fused_logits", "negative_log_likelihood", "rows_in", "tokens_of"]


class MceTwin:
    """The objective with its running weights."""

    def __init__(self, config: MceConfig, facts: SiteFacts) -> None:
        self.config, self.facts = config, facts
        self.weights = Weights(config, facts)

    def loss(self, net: MultimodalNet, rows: list[Row]) -> Tensor:
        """L of one batch; the weights are brought up to date first."""
        parts, config = self.parts(net, rows), self.config
        return (
            parts["task"]
            + config.unimodal_weight * parts["unimodal"]
            + config.subset_weight * parts["subset"]
            + config.completion_weight * parts["completion"]
            + config.train_through * parts["through"]
            + config.distil_weight * parts["distil"]
        )

    def parts(self, net: MultimodalNet, rows: list[Row]) -> dict[str, Tensor]:
        """Every part of L, before its weight."""
        in_batch = [m for m in net.spec.names if any(m in row.samples for row in rows)]
        seen = [self._seen(net, row, in_batch) for row in rows]
        config, nothing = self.config, torch.zeros(())
        self.weights.observe([self._valued(net, one) for one in seen])
        weights = self.weights.of_losses()
        return {
            "task": torch.stack([negative_log_likelihood(s.full_logits, s.row.target) for s in seen]).mean(),
            "unimodal": self._unimodal(net, seen, weights),
            "subset": rce_rows.subset_loss(config, net, seen),
            "completion": rce_rows.completion_loss(config, net, seen, weights) if config.completion_weight else nothing,
            "through": rce_rows.through_loss(config, net, seen, in_batch) if config.train_through else nothing,
            "distil": rce_rows.distillation_loss(config, net, seen) if config.distil_weight else nothing,
        }

    def _seen(self, net: MultimodalNet, row: Row, in_batch: list[str]) -> SeenRow:
        own = tokens_of(net, row)
        whole = with_zeros(net, own, in_batch) if self.config.published.zeros_as_data else own
        read: Tokens = mixed(own) if self.config.published.leak else own
        # In the public code the prediction from everything reads the tokens before they are mixed.
        return SeenRow(row, read, fused_logits(net, whole, tuple(whole)), fused_state(net, whole, tuple(whole)))

    def _valued(self, net: MultimodalNet, seen: SeenRow) -> ValuedRow:
        def worth(logits: Tensor) -> float:
            probability = torch.softmax(logits.detach(), dim=0).tolist()
            return lce_rows.value(self.config.value, probability, seen.row.target)

        of_subset = {frozenset(s): worth(fused_logits(net, seen.tokens, s)) for s in proper_subsets(seen.held)}
        of_subset[frozenset(seen.held)] = worth(seen.full_logits)
        if self.facts.reference is None:
            alone = {m: worth(net.head[m](t)) for m, t in seen.tokens.items()}
        else:
            place = self.facts.modalities.index
            alone = {m: float(self.facts.reference[seen.row.number, place(m)]) for m in seen.held}
        return ValuedRow(seen.held, of_subset, alone)

    def _unimodal(self, net: MultimodalNet, seen: list[SeenRow], weights: Mapping[str, float]) -> Tensor:
        rows, tokens = [s.row for s in seen], [s.tokens for s in seen]
        if self.config.published.diluted:
            return diluted_unimodal(net, rows, tokens, weights)
        total, present = torch.zeros(()), 0
        for m in net.spec.names:
            losses = [
                negative_log_likelihood(net.head[m](t[m]), r.target)
                for r, t in zip(rows, tokens, strict=True)
                if m in t
            ]
            if losses:
                present += 1
                total = total + weights[m] * torch.stack(losses).mean()
        return total / present
