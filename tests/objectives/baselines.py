"""What the tests of baselines share: facts of a site in a later round, a rule by name, rounds of a made federation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from client.app import app as client_app
from fedmce.cli.compose import load_config
from fedmce.config.describe import members
from fedmce.config.schema import RunConfig
from fedmce.errors import ConfigError
from fedmce.flower_compat import identity
from fedmce.models import Batch, MultimodalNet, state_of
from fedmce.objectives import OBJECTIVES, SHARED, Objective, SiteFacts
from server.state import GlobalState
from tests.oracles.worlds import Bools, facts_of, rows_of
from tests.server.made import made_config, made_dataset, open_federation, use

SECTIONS = members(RunConfig.model_fields["objective"].annotation)
SITE = rows_of([7, 7, 3, 5, 1, 2, 4, 6], 3)  # what the rows of a site hold


def facts_for(net: MultimodalNet, name: str, **known: Any) -> SiteFacts:
    """Facts of a site in round 2 that received ``net`` as it is and has shared arrays as after round 0."""
    rule, model = SHARED.get(name), state_of(net)
    shared = rule.initial(SECTIONS[name](), net.spec, model) if rule else {}
    given = {"received": model, "spec": net.spec, "held": net.held, "round": 2, "shared": shared, "memory": {}}
    return replace(facts_of(net.spec, SITE[:, : len(net.spec.names)]), **given | known)


def rule_for(net: MultimodalNet, name: str, facts: SiteFacts | None = None, seed: int = 0, **choices: Any) -> Objective:
    """The objective of this name for one local training."""
    facts = facts_for(net, name) if facts is None else facts
    return OBJECTIVES[name](SECTIONS[name](**choices), facts, np.random.default_rng(seed))


def gradients(net: MultimodalNet, rule: Objective, batch: Batch, available: Bools) -> dict[str, torch.Tensor | None]:
    """Gradient of each parameter before the step; None where there is none."""
    net.zero_grad(set_to_none=True)
    rule(net, batch, available).total.backward()
    rule.after_backward(net)
    return {name: None if p.grad is None else p.grad.clone() for name, p in net.named_parameters()}


def federated(patch: pytest.MonkeyPatch, method: str, rounds: int = 3, **changes: Any) -> list[GlobalState]:
    """Committed states before and after each round of the made federation."""
    torch.set_default_dtype(torch.float32)  # as in a run; a fixture restores what was
    with identity(1) as run:
        federation = open_federation(made_config(method, **changes), use(patch, made_dataset()), client_app, run)
        states = [federation.strategy.state]
        for number in range(1, rounds + 1):
            states.append(federation.commit(federation.train_replies(number).values(), number))
            verdicts = federation.strategy.outcome.verdicts
            assert len(federation.strategy.outcome.accepted) == len(verdicts), verdicts
    return states


def refusal(*overrides: str) -> str:
    """What a user is told of a configuration that does not fit together."""
    with pytest.raises(ConfigError) as refused:
        load_config(list(overrides))
    return str(refused.value)
