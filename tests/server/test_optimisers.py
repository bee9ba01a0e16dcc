"""Server optimisers inside a federation: a step per component, and rest where nobody trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from flwr.app import Error

from client.app import app as client_app
from fedmce.aggregation import server_step, weighted_mean
from fedmce.data import FederatedDataset
from fedmce.flower_compat import Message, arrays_of, identity
from fedmce.models import modality_of, select
from tests.server.made import Federation, made_config, open_federation, same_bits

METHODS = ("fedavgm", "fedadam", "fedyogi")


def without_images(federation: Federation, replies: dict[str, Message]) -> list[Message]:
    """Errors from all who hold images."""
    return [
        replies[s.expected.site]
        if s.expected.site == "dale"
        else Message(Error(code=2, reason="away"), reply_to=s.message)
        for s in federation.strategy._sent
    ]


@pytest.mark.parametrize("method", METHODS)
def test_a_component_without_a_holder_rests_with_all_that_is_remembered_of_it(
    made: FederatedDataset, method: str
) -> None:
    with identity(1) as run:
        federation = open_federation(made_config(method), made, client_app, run)
        before = federation.commit(federation.train_replies(1).values(), 1)
        after = federation.commit(without_images(federation, federation.train_replies(2)), 2)
    images = [c for c in federation.strategy.roster.components if modality_of(c) == "image"]
    assert images
    for component in federation.strategy.roster.components:
        still = same_bits(select(before.model, [component]), select(after.model, [component]))
        same = same_bits(before.optimiser[component], after.optimiser[component])
        assert (still, same) == (component in images, component in images), component


@pytest.mark.parametrize("method", METHODS)
def test_a_round_is_the_step_from_the_old_component_to_the_mean_over_its_holders(
    made: FederatedDataset, method: str
) -> None:
    config = made_config(method)
    with identity(1) as run:
        federation = open_federation(config, made, client_app, run)
        memory: dict[str, Any] = {}
        for number in (1, 2):
            start = federation.strategy.state.model
            replies = federation.train_replies(number)
            state = federation.commit(replies.values(), number)
            assert federation.strategy.outcome is not None
            for component, weights in federation.strategy.outcome.weights.items():
                own = {s: select(arrays_of(replies[s].content["update"]), [component]) for s in weights}
                mean = weighted_mean(own, weights)
                expected, memory[component] = server_step(
                    config.aggregation.server, select(start, [component]), mean, memory.get(component, {})
                )
                assert same_bits(select(state.model, [component]), expected)
                if number == 2:  # the first step of momentum is the mean itself
                    assert not all(np.array_equal(expected[key], mean[key]) for key in mean)


def test_momentum_without_memory_is_plain_averaging(made: FederatedDataset) -> None:
    with identity(1) as run:
        plain, still = (
            open_federation(made_config(*m[:1], **m[1]), made, client_app, run)
            for m in (("fedavg_owner", {}), ("fedavgm", {"aggregation__server__beta1": 0.0}))
        )
        for number in (1, 2):
            one, other = (f.commit(f.train_replies(number).values(), number).model for f in (plain, still))
    for key in one:
        np.testing.assert_allclose(one[key], other[key], rtol=1e-5, atol=1e-6)
