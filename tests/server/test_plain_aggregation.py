"""Without a robust rule and bounds on claims, every bit of a round is that of the plain weighted mean."""

from __future__ import annotations

from typing import Any

import pytest

from client.app import app as client_app
from fedmce.aggregation import saturated, server_step, weighted_mean
from fedmce.flower_compat import arrays_of, identity
from fedmce.models import modality_of, select
from tests.server.made import Federation, made_config, made_dataset, open_federation, same_bits, use


@pytest.mark.parametrize("method", ["fedmce", "fedavgm", "fedavg_zero"])
def test_without_a_robust_rule_and_bounds_every_bit_is_the_plain_mean_s(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    told = made_config(method)
    assert (told.aggregation.robust.rule, told.aggregation.claims.bounded) == ("mean", False)
    memory: dict[str, Any] = {}
    with identity(1) as run:
        federation = open_federation(told, use(monkeypatch, made_dataset()), client_app, run)
        for number in (1, 2):
            start, replies = federation.strategy.state.model, federation.train_replies(number)
            state = federation.commit(replies.values(), number)
            outcome = federation.strategy.outcome
            assert outcome is not None
            assert outcome.insight is not None
            assert outcome.robust == {}
            for component in federation.strategy.roster.components:
                weights = plain_weights(federation, component, outcome)
                assert outcome.weights[component] == weights
                own = {s: select(arrays_of(replies[s].content["update"]), [component]) for s in weights}
                expected, memory[component] = server_step(
                    told.aggregation.server,
                    select(start, [component]),
                    weighted_mean(own, weights),
                    memory.get(component, {}),
                )
                assert same_bits(select(state.model, [component]), expected)


def plain_weights(federation: Federation, component: str, outcome: Any) -> dict[str, float]:
    told, roster = federation.strategy.config.aggregation, federation.strategy.roster
    raw = {}
    for site, reply in sorted(outcome.accepted.items()):
        if rows := reply.rows.get(component, 0):
            modality = modality_of(component)
            raw[site] = saturated(rows, told.saturation_rows)
            if modality is None and told.fusion_counts == "pairs":
                raw[site] = raw[site] * roster.pairs_per_row(site)
            if modality is not None and told.weighting == "contribution":
                raw[site] = raw[site] * outcome.insight.quality.get(site, {}).get(modality, 1.0)
    total = sum(raw.values())
    return {site: value / total for site, value in raw.items()}
