"""Laws of the server: order of arrival, untouched components, agreement with plain FedAvg, Flower's own loop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from flwr.app import Error
from flwr.serverapp.strategy import FedAvg

from client.app import app as client_app
from fedmce.data import FederatedDataset
from fedmce.flower_compat import (
    ConfigRecord,
    Message,
    MetricRecord,
    RecordDict,
    array_record,
    arrays_of,
    identity,
)
from fedmce.models import component_of, modality_of
from tests.server.made import (
    LACKS,
    METHODS,
    Federation,
    everything_everywhere,
    made_config,
    made_dataset,
    made_site,
    open_federation,
    same_bits,
    use,
)


def test_the_order_of_arrival_does_not_matter(federation: Federation) -> None:
    federation.rewind()
    replies = list(federation.train_replies().values())
    models = []
    for order in itertools.permutations(replies):
        federation.rewind()
        models.append(federation.commit(order).model)
        assert list(federation.strategy.outcome.verdicts) == federation.sites
    assert all(same_bits(model, models[0]) for model in models)
    assert not same_bits(models[0], federation.initial.model)


def test_the_order_of_keys_in_a_reply_does_not_matter(federation: Federation) -> None:
    federation.rewind()
    replies = federation.train_replies()
    straight = federation.commit(replies.values()).model
    turned = []
    for sent, reply in zip(federation.strategy._sent, replies.values(), strict=True):
        records = {n: type(r)(dict(reversed(list(r.items())))) for n, r in reversed(list(reply.content.items()))}
        turned.append(Message(RecordDict(records), reply_to=sent.message))
    federation.rewind()
    assert same_bits(federation.commit(turned).model, straight)


def test_what_no_accepted_reply_trained_stays_bitwise(federation: Federation) -> None:
    """With the errors of all holders of images, images stay and the rest moves."""
    federation.rewind()
    replies = federation.train_replies()
    for sent in federation.strategy._sent:
        if sent.expected.site != "dale":
            replies[sent.expected.site] = Message(Error(code=2, reason="away"), reply_to=sent.message)
    before, after = federation.initial.model, federation.commit(replies.values()).model
    assert after.keys() == before.keys()
    # A layer behind dead units gets no gradient, so what moves is told per component, what stays per array.
    moved = {component_of(key) for key in before if before[key].tobytes() != after[key].tobytes()}
    assert moved == {c for c in federation.strategy.roster.components if modality_of(c) != "image"}


def test_a_component_with_one_holder_becomes_that_holders_value_bitwise(federation: Federation) -> None:
    federation.rewind()
    replies = federation.train_replies()
    for sent in federation.strategy._sent:
        if sent.expected.site in ("ash", "cedar"):
            replies[sent.expected.site] = Message(Error(code=2, reason="away"), reply_to=sent.message)
    model = federation.commit(replies.values()).model
    for site, modality in {"dale": "sound", "birch": "image"}.items():
        own = arrays_of(replies[site].content["update"])
        mine = [key for key in own if modality_of(component_of(key)) == modality]
        assert mine
        assert all(own[key].tobytes() == model[key].tobytes() for key in mine)


def test_equal_replies_leave_the_model_within_one_ulp(federation: Federation) -> None:
    federation.rewind()
    replies = []
    for site, reply in federation.train_replies().items():
        sent = federation.strategy._sent[federation.sites.index(site)].message
        records = {"update": sent.content["model"], **{n: reply.content[n] for n in ("report", "stamp")}}
        replies.append(Message(RecordDict(records), reply_to=sent))
    before, after = federation.initial.model, federation.commit(replies).model
    for key in before:
        np.testing.assert_array_max_ulp(before[key], after[key], maxulp=1)


def test_weights_of_every_component_sum_to_one_over_its_holders(federation: Federation) -> None:
    federation.rewind()
    federation.commit(federation.train_replies().values())
    weights = federation.strategy.outcome.weights
    assert set(weights) == set(federation.strategy.roster.components)
    for component, by_site in weights.items():
        assert sum(by_site.values()) == pytest.approx(1)
        holders = {s for s in federation.sites if LACKS.get(s, "nothing") != modality_of(component)}
        assert set(by_site) == holders, component
    assert weights["encoder.sound"] != weights["projection.blood"]


def test_where_all_hold_everything_it_is_flowers_fedavg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Task loss, weights by rows: the same replies give what Flower's own strategy makes of them."""
    sites = [made_site(name, {"train": rows, "validation": 4, "test": 4}) for name, rows in SIZES.items()]
    dataset = use(monkeypatch, made_dataset(*sites))
    config = made_config("fedavg_owner", missingness=everything_everywhere())
    with identity(1) as run:
        federation = open_federation(config, dataset, client_app, run)
        replies = federation.train_replies()
        ours = federation.commit(replies.values()).model
        theirs_in = []
        for sent, (site, reply) in zip(federation.strategy._sent, replies.items(), strict=True):
            rows = federation.strategy.roster.profiles[site].rows
            assert rows == SIZES[site]
            records = {"arrays": reply.content["update"], "metrics": MetricRecord({"num-examples": rows})}
            theirs_in.append(Message(RecordDict(records), reply_to=sent.message))
        theirs, _ = FedAvg(fraction_evaluate=0.0).aggregate_train(1, theirs_in)
    assert theirs is not None
    plain = arrays_of(theirs)
    assert plain.keys() == ours.keys()
    for key in ours:
        np.testing.assert_allclose(ours[key], plain[key], rtol=1e-5, atol=1e-6)
    assert not same_bits(ours, federation.initial.model)


SIZES = {"elm": 12, "fir": 31, "gum": 24}


def test_unequal_sites_are_not_averaged_as_equals(monkeypatch: pytest.MonkeyPatch) -> None:
    sites = [made_site(name, {"train": rows, "validation": 4, "test": 4}) for name, rows in SIZES.items()]
    dataset = use(monkeypatch, made_dataset(*sites))
    config = made_config("fedavg_owner", missingness=everything_everywhere())
    with identity(1) as run:
        federation = open_federation(config, dataset, client_app, run)
        federation.commit(federation.train_replies().values())
    total = sum(SIZES.values())
    for by_site in federation.strategy.outcome.weights.values():
        assert by_site == pytest.approx({site: rows / total for site, rows in SIZES.items()})


@pytest.mark.parametrize("method", METHODS)
def test_the_hooks_work_under_flowers_own_loop(made: FederatedDataset, method: str) -> None:
    with identity(1) as run:
        config = made_config(method)
        flowers, ours = (open_federation(config, made, client_app, run) for _ in range(2))
        start = array_record(flowers.initial.model)
        result = flowers.strategy.start(flowers.grid, start, num_rounds=2, timeout=60)
        for number in (1, 2):
            ours.commit(ours.train_replies(number).values(), number)
    assert result.train_metrics_clientapp == {1: {"accepted": 4}, 2: {"accepted": 4}}
    assert result.evaluate_metrics_clientapp == {1: {"accepted": 4}, 2: {"accepted": 4}}
    assert flowers.strategy.state.round == 2
    assert same_bits(arrays_of(result.arrays), ours.strategy.state.model)


def test_scoring_leaves_the_model_alone(federation: Federation) -> None:
    federation.rewind()
    strategy = federation.strategy
    arrays = array_record(strategy.state.model)
    messages = strategy.configure_evaluate(1, arrays, ConfigRecord(), federation.grid)
    replies = federation.grid.send_and_receive(messages)
    strategy.aggregate_evaluate(1, replies)
    assert strategy.state is federation.initial
    assert set(strategy.outcome.accepted) == set(federation.sites)
    assert all(not accepted.update for accepted in strategy.outcome.accepted.values())
