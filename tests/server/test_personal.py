"""Components that stay at sites: nothing of them travels, each site goes its own way, sites score themselves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from client.app import app as client_app
from client.keeping import PRIVATE, Keeping
from client.workplace import open_workplace
from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset
from fedmce.flower_compat import ArrayRecord, Message, array_record, arrays_of, identity
from fedmce.metrics import summary
from fedmce.models import MultimodalNet, State, component_of, modality_of, private_keys
from server.exchange import Wait, exchange
from server.gate import Accepted
from server.scoring import TestRows as ServerRows
from tests.oracles.worlds import small_spec
from tests.server.made import LACKS, Federation, made_config, made_dataset, made_site, open_federation, same_bits, use

SHARED_NOTHING = "local_only"


def opened(config: RunConfig, dataset: FederatedDataset, run: Any, rounds: int = 1) -> tuple[Federation, list[Message]]:
    """A federation after some rounds, and every message that travelled in them, both ways."""
    federation, travelled = open_federation(config, dataset, client_app, run), []
    for number in range(1, rounds + 1):
        replies = federation.train_replies(number)
        travelled += [sent.message for sent in federation.strategy._sent] + list(replies.values())
        federation.commit(replies.values(), number)
        outcome = federation.strategy.outcome
        assert outcome is not None
        assert all(isinstance(v, Accepted) for v in outcome.verdicts.values()), outcome.verdicts
    return federation, travelled


def kept_at(federation: Federation, site: str) -> State:
    """What the node of a site keeps."""
    node = federation.strategy.roster.profiles[site].node_id
    records = federation.grid._contexts[node].state.array_records
    return arrays_of(records[PRIVATE]) if PRIVATE in records else {}


def scored_at_sites(federation: Federation, rounds: int) -> dict[str, Any]:
    """Ask all sites for the scores of their test rows."""
    arrays = array_record(federation.strategy.state.model)
    messages = federation.strategy.configure_test(rounds, arrays)
    federation.strategy.aggregate_evaluate(rounds, exchange(federation.grid, messages, Wait(60)))
    assert federation.strategy.outcome is not None
    return federation.strategy.outcome.verdicts


KEPT = {
    "private_head": {"head"},
    "private_fusion": {"head", "fusion"},
    "blossom": {"head", "projection", "fusion"},
    SHARED_NOTHING: {"encoder", "projection", "head", "completion", "fusion"},
}


@pytest.mark.parametrize("method", sorted(KEPT))
def test_a_private_component_is_in_no_message(made: FederatedDataset, method: str) -> None:
    with identity(1) as run:
        federation, travelled = opened(made_config(method), made, run, rounds=2)
    arrays = [key for message in travelled for name, record in message.content.items() for key in names(name, record)]
    assert len(travelled) == 16
    assert not {component_of(key).partition(".")[0] for key in arrays} & KEPT[method]
    strategy = federation.strategy
    assert strategy.outcome is not None
    for by_site in (strategy.outcome.down_by_component, strategy.outcome.up_by_component):
        assert all(bytes_ > 0 for parts in by_site.values() for bytes_ in parts.values())
    up = {site: set(parts) for site, parts in strategy.outcome.up_by_component.items()}
    shared = {c for c in strategy.roster.components if c.partition(".")[0] not in KEPT[method]}
    assert up == {site: {c for c in shared if LACKS.get(site, "none") != modality_of(c)} for site in federation.sites}


def names(name: str, record: Any) -> list[str]:
    """Keys of parameters; statistics are named by their modality alone."""
    return list(record) if isinstance(record, ArrayRecord) and name != "statistics" else []


def test_heads_differ_after_a_round_and_the_body_is_common(made: FederatedDataset) -> None:
    with identity(1) as run:
        federation, _ = opened(made_config("private_head"), made, run)
        kept = {site: kept_at(federation, site) for site in federation.sites}
        common = federation.strategy.state.model
        start = federation.initial.model
    heads = {key for key in start if key.startswith("head.")}
    for site, own in kept.items():
        assert set(own) == {key for key in heads if modality_of(component_of(key)) != LACKS.get(site)}
        assert all(not np.array_equal(own[key], start[key]) for key in own)
    assert not np.array_equal(kept["ash"]["head.blood/weight"], kept["birch"]["head.blood/weight"])
    assert all(np.array_equal(common[key], start[key]) for key in heads)  # nobody returned one
    assert not np.array_equal(common["encoder.blood/1.weight"], start["encoder.blood/1.weight"])


def test_training_goes_on_from_what_was_kept(made: FederatedDataset) -> None:
    """The second round starts from the site's head, not from the seed."""
    with identity(1) as run:
        federation, _ = opened(made_config("private_head"), made, run)
        first = kept_at(federation, "ash")
        place = open_workplace(federation.strategy.config.to_json(), "ash")
        node = federation.strategy.roster.profiles["ash"].node_id
        keeping = Keeping(federation.grid._contexts[node].state)
        sent = {k: v for k, v in federation.strategy.state.model.items() if not k.startswith("head.")}
        whole = keeping.with_private(sent, place, place.names, 2)
    assert same_bits({key: whole[key] for key in first}, first)
    assert set(whole) == set(federation.strategy.state.model)


def test_an_absent_modality_is_private_nowhere(made: FederatedDataset) -> None:
    with identity(1) as run:
        federation, _ = opened(made_config(SHARED_NOTHING), made, run)
        for site, lacking in LACKS.items():
            assert lacking not in {modality_of(component_of(key)) for key in kept_at(federation, site)}


def test_a_site_that_shares_nothing_trains_as_if_it_were_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even statistics and counts of the others reach it."""
    found = {}
    for sites in (("ash",), ("dale", "ash", "cedar", "birch")):
        dataset = made_dataset()
        part = FederatedDataset(dataset.name, dataset.modalities, dataset.task, {s: dataset.sites[s] for s in sites})
        use(monkeypatch, part)
        with identity(1) as run:
            federation, _ = opened(made_config(SHARED_NOTHING), part, run, rounds=2)
            found[sites] = kept_at(federation, "ash")
    alone, among = found.values()
    assert alone
    assert same_bits(alone, among)


def test_all_rows_at_one_site_is_that_site_alone_bit_by_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """D3 = D1 with a single site: pooled training and local training do the same."""
    dataset = made_dataset()
    part = FederatedDataset(dataset.name, dataset.modalities, dataset.task, {"cedar": dataset.sites["cedar"]})
    use(monkeypatch, part)
    with identity(1) as run:
        alone, _ = opened(made_config(SHARED_NOTHING), part, run, rounds=2)
        pooled, _ = opened(made_config("centralised"), part, run, rounds=2)
        assert same_bits(kept_at(alone, "cedar"), pooled.strategy.state.model)
    assert not same_bits(pooled.strategy.state.model, pooled.initial.model)


@pytest.mark.parametrize("method", ["private_head", SHARED_NOTHING])
def test_test_rows_are_scored_at_every_site_with_its_own_model(made: FederatedDataset, method: str) -> None:
    with identity(1) as run:
        federation, _ = opened(made_config(method), made, run)
        verdicts = scored_at_sites(federation, 1)
        assert all(isinstance(v, Accepted) for v in verdicts.values()), verdicts
        cells = {site: v.cells["accuracy"] for site, v in verdicts.items() if isinstance(v, Accepted)}
        # Everything is asked, also of what a site cannot read: made rows hold all three modalities.
        assert all(set(by_subset) == set(range(1, 8)) for by_subset in cells.values())
        assert cells["birch"][2] == prior_hits(made, federation.strategy.config, "birch")


def prior_hits(dataset: FederatedDataset, config: RunConfig, site: str) -> list[float]:
    """Right answers of somebody who knows the shares of the classes only, and the rows asked."""
    prior = open_workplace(config.to_json(), site).prior
    rows = dataset.sites[site]
    target = rows.targets[(rows.split == "test") & rows.available[:, 1]]
    return [float((target == prior.argmax()).sum()), float(len(target))]


def test_without_private_parts_sites_score_as_the_server_does(made: FederatedDataset) -> None:
    """A site of fine-tuning 0 epochs ends with the common model, so both ways of scoring must agree."""
    config = made_config("fedavg_owner")
    personal = made_config("finetuned", aggregation__finetune_epochs=1, training__lr=1e-12)
    with identity(1) as run:
        plain, _ = opened(config, made, run, rounds=2)
        statistics = plain.strategy.roster.statistics(plain.strategy.spec)
        rows = ServerRows(made, config, plain.strategy.spec, statistics, plain.strategy.roster.empty_value)
        expected = rows.score(plain.strategy.state.model)
        tuned, _ = opened(personal, made, run, rounds=1)
        tuned.strategy.state = plain.strategy.state
        verdicts = scored_at_sites(tuned, 2)
    cells = {site: v.cells for site, v in verdicts.items() if isinstance(v, Accepted)}
    found = summary(cells, "accuracy", plain.strategy.roster.names)
    assert found["per_subset"] == pytest.approx(expected["per_subset"])
    assert found["per_site"].keys() == expected["per_site"].keys()
    for site, scores in expected["per_site"].items():
        assert found["per_site"][site] == pytest.approx(scores)


def test_rows_of_a_site_that_never_trains_are_scored_by_every_sites_model(monkeypatch: pytest.MonkeyPatch) -> None:
    stranger = made_site("elm", {"test": 7})
    dataset = use(monkeypatch, made_dataset(*(made_site(n) for n in ("ash", "birch")), stranger))
    config = made_config("private_head")
    with identity(1) as run:
        federation, _ = opened(config, dataset, run)
        assert federation.sites == ["ash", "birch"]
        assert {s: p.test_rows for s, p in federation.strategy.roster.profiles.items()} == {"ash": 17, "birch": 17}
        verdicts = scored_at_sites(federation, 1)
    for verdict in verdicts.values():
        assert isinstance(verdict, Accepted)
        assert verdict.cells["accuracy"][1][1] == 17  # every one of them holds an image


def test_a_whole_model_or_one_site_cannot_be_personal() -> None:
    for change in ({"aggregation__private": ("head",)}, {"aggregation__rule": "fedmsplit"}):
        with pytest.raises(ValueError, match="whole_model=true shares everything"):
            made_config("fedavg_zero", **change)
        with pytest.raises(ValueError, match="scope=pooled has one site"):
            made_config("fedavg_owner", scope="pooled", **change)
    with pytest.raises(ValueError, match="gives each site a state of its own"):
        made_config("fedmsplit", aggregation__private=("head",))


def test_kinds_are_found_by_component_and_normalisation_by_module() -> None:
    net = MultimodalNet(small_spec(2))
    assert {component_of(k) for k in private_keys(net, ["head"])} == {"head.a", "head.b"}
    assert private_keys(net, ["normalisation"]) == frozenset()
    assert private_keys(net, []) == frozenset()


def test_the_order_to_test_asks_for_nothing_else(made: FederatedDataset) -> None:
    with identity(1) as run:
        federation, _ = opened(made_config("private_head"), made, run)
        messages = federation.strategy.configure_test(1, array_record(federation.strategy.state.model))
        replies = exchange(federation.grid, messages, Wait(60))
    for reply in replies:
        assert set(reply.content) == {"report", "stamp"}
        assert not any(key.startswith(("value.", "share.", "rows.")) for key in reply.content["report"])
