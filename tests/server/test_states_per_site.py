"""Rounds that leave every site with a state of its own: Harmony's stage 2 and FedMSplit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from client.app import app as client_app
from client.keeping import OBJECTIVE, PRIVATE
from fedmce.config.schema import SitewiseConfig
from fedmce.errors import ConfigError
from fedmce.flower_compat import Message, array_record, arrays_of, identity
from fedmce.models import State, component_of
from server.exchange import Wait, exchange
from server.gate import Accepted, Refused
from tests.server.made import Federation, made_config, made_dataset, made_site, open_federation, same_bits, use

ROUNDS = 6  # stage 1: 4, stage 2: 2
OWN = ("encoder", "head")
TABLE = {
    "birch": {"sound": 1.0},
    "cedar": {"image": 0.5},
    "dale": {"image": 1.0, "blood": 0.25},
    "fir": {"image": 1.0, "sound": 1.0},  # one modality: no stage 2
}


def dataset(patch: pytest.MonkeyPatch) -> Any:
    return use(patch, made_dataset(*(made_site(n) for n in ("dale", "ash", "cedar", "birch", "fir"))))


def config(method: str, **changes: Any) -> Any:
    missing = SitewiseConfig(rates={}, reversed_sites=0, table=TABLE).model_dump()
    return made_config(method, **{"rounds": ROUNDS, "missingness": missing, "aggregation__clusters": 2} | changes)


def kinds(record: Any) -> set[str]:
    return {component_of(key).partition(".")[0] for key in record}


def kept_at(federation: Federation, site: str, name: str = PRIVATE) -> State:
    records = federation.grid._contexts[federation.strategy.roster.profiles[site].node_id].state.array_records
    return arrays_of(records[name]) if name in records else {}


def asked(federation: Federation) -> list[str]:
    return [sent.expected.site for sent in federation.strategy._sent]


def answers(federation: Federation, number: int) -> dict[str, Message]:
    from fedmce.flower_compat import ConfigRecord

    strategy = federation.strategy
    arrays = array_record(strategy.state.model)
    messages = strategy.configure_train(number, arrays, ConfigRecord(), federation.grid)
    replies = {r.metadata.reply_to_message_id: r for r in exchange(federation.grid, messages, Wait(60))}
    return {s: replies[m.metadata.message_id] for s, m in zip(asked(federation), messages, strict=True)}


def accepted(federation: Federation) -> set[str]:
    assert federation.strategy.outcome is not None
    verdicts = federation.strategy.outcome.verdicts
    assert not any(isinstance(v, Refused) for s, v in verdicts.items()), verdicts
    return set(verdicts)


@pytest.fixture(scope="module")
def harmony() -> Any:
    """Every round of a whole run: what was asked, what came, what was committed."""
    with pytest.MonkeyPatch.context() as patch, identity(1) as run:
        federation, story = open_federation(config("harmony"), dataset(patch), client_app, run), []
        for number in range(1, ROUNDS + 1):
            replies = answers(federation, number)
            sent = {s.expected.site: s.message for s in federation.strategy._sent}
            state = federation.commit(replies.values(), number)
            assert accepted(federation) == set(sent)
            outcome = federation.strategy.outcome
            kept = {site: (kept_at(federation, site), kept_at(federation, site, OBJECTIVE)) for site in sent}
            story.append((sent, replies, state, outcome, kept))
        yield federation, story


def test_stage_1_is_averaged_alike_and_fusion_waits(harmony: Any) -> None:
    federation, story = harmony
    start = federation.initial.model
    for sent, replies, state, outcome, _ in story[:4]:
        assert set(sent) == {"ash", "birch", "cedar", "dale", "fir"}
        assert all(kinds(message.content["model"]) >= set(OWN) for message in sent.values())
        assert {c.partition(".")[0] for c in outcome.weights} == set(OWN)
        assert all(len(set(by_site.values())) == 1 for by_site in outcome.weights.values())
        assert all("shared" not in reply.content for reply in replies.values())
        fused = [key for key in start if kinds([key]) - set(OWN)]
        assert fused
        assert all(np.array_equal(state.model[key], start[key]) for key in fused)
        assert not state.personal


def test_what_fusion_adds_starts_at_0_so_that_stage_1_answers_with_its_heads(harmony: Any) -> None:
    federation, _ = harmony
    model = federation.initial.model
    assert not model["fusion/out.weight"].any()
    assert not model["fusion/out.bias"].any()
    assert model["encoder.blood/1.weight"].any()


def test_stage_2_asks_sites_with_several_modalities_and_they_keep_encoders_and_heads(harmony: Any) -> None:
    _, story = harmony
    first, second = story[4:]
    for sent, replies, _, _, kept in (first, second):
        assert set(sent) == {"ash", "birch", "cedar", "dale"}
        for site, reply in replies.items():
            assert not kinds(reply.content["update"]) & set(OWN)
            assert kinds(kept[site][0]) == set(OWN)
            assert reply.content["shared"]["distance"].shape == (3,)
    # Encoders are sent once: stage 1 left them with the server, afterwards with the sites.
    assert all(kinds(message.content["model"]) >= set(OWN) for message in first[0].values())
    assert all(not kinds(message.content["model"]) & set(OWN) for message in second[0].values())


def test_encoders_go_on_from_where_the_site_left_them_and_distances_are_to_stage_1(harmony: Any) -> None:
    _, story = harmony
    stage_1 = story[3][2].model
    for site, (own, memory) in story[4][4].items():
        assert all(np.array_equal(memory[key], stage_1[key]) for key in memory)
        assert not np.array_equal(own["encoder.blood/1.weight"], stage_1["encoder.blood/1.weight"])
        later = story[5][4][site]
        assert same_bits(later[1], memory)
        assert not np.array_equal(later[0]["encoder.blood/1.weight"], own["encoder.blood/1.weight"])
    told = {s: arrays_of(r.content["shared"])["distance"] for s, r in story[5][1].items()}
    assert told["birch"][1] == -1.0
    assert told["dale"][0] == -1.0
    assert all((told[s][2] > 0).all() for s in told)
    assert all(np.array_equal(story[5][2].shared[f"distance/{s}"], told[s]) for s in told)


def test_each_cluster_gets_its_plain_mean_and_the_common_model_rests(harmony: Any) -> None:
    _, story = harmony
    stage_1 = story[3][2].model
    for _, replies, state, outcome, _ in story[4:]:
        assert same_bits(state.model, stage_1)
        clusters = outcome.personal["clusters"]
        assert set(clusters) == set(state.personal) == {"ash", "birch", "cedar", "dale"}
        assert outcome.weights == {}
        for site, label in clusters.items():
            members = [s for s in sorted(clusters) if clusters[s] == label]
            own = [arrays_of(replies[s].content["update"]) for s in members]
            for key in {key for update in own for key in update}:
                mean = np.mean([update[key].astype("f8") for update in own if key in update], axis=0)
                np.testing.assert_allclose(state.personal[site][key], mean, rtol=1e-5, atol=1e-8)


def test_the_next_round_starts_from_the_clusters_fusion(harmony: Any) -> None:
    _, story = harmony
    for site, message in story[5][0].items():
        given = arrays_of(message.content["model"])
        assert np.array_equal(given["fusion/out.weight"], story[4][2].personal[site]["fusion/out.weight"])


def test_all_sites_score_and_the_one_without_stage_2_ends_with_stage_1(harmony: Any) -> None:
    federation, story = harmony
    strategy = federation.strategy
    with identity(1):
        messages = strategy.configure_test(ROUNDS, array_record(strategy.state.model))
        strategy.aggregate_evaluate(ROUNDS, exchange(federation.grid, messages, Wait(60)))
    assert accepted(federation) == {"ash", "birch", "cedar", "dale", "fir"}
    given = {s.expected.site: arrays_of(s.message.content["model"]) for s in strategy._sent}
    assert same_bits(given["fir"], story[3][2].model)
    cells = {s: v.cells["accuracy"] for s, v in strategy.outcome.verdicts.items() if isinstance(v, Accepted)}
    assert all(set(by_subset) == set(range(1, 8)) for by_subset in cells.values())


def test_a_site_that_misses_a_round_is_neither_moved_nor_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Away in the first round of stage 2, it is sent the encoders again; in the second, its distance stays."""
    with identity(1) as run:
        federation = open_federation(config("harmony"), dataset(monkeypatch), client_app, run)
        for number in range(1, 5):
            federation.commit(answers(federation, number).values(), number)
        replies = answers(federation, 5)
        federation.commit([r for s, r in replies.items() if s != "cedar"], 5)
        assert "distance/cedar" not in federation.strategy.state.shared
        assert "cedar" not in federation.strategy.state.personal
        replies = answers(federation, 6)
        given = {s.expected.site: kinds(s.message.content["model"]) for s in federation.strategy._sent}
        assert given["cedar"] >= set(OWN)
        assert not given["ash"] & set(OWN)
        before = federation.strategy.state.shared["distance/ash"]
        stage_1 = federation.strategy.state.model
        memory = kept_at(federation, "cedar", OBJECTIVE)
        assert all(np.array_equal(memory[key], stage_1[key]) for key in memory)
        state = federation.commit([r for s, r in replies.items() if s != "ash"], 6)
        assert np.array_equal(state.shared["distance/ash"], before)
        assert federation.strategy.outcome is not None
        assert set(federation.strategy.outcome.personal["clusters"]) == {"ash", "birch", "cedar", "dale"}


def test_a_node_that_lost_what_the_server_counts_on_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with identity(1) as run:
        federation = open_federation(config("harmony"), dataset(monkeypatch), client_app, run)
        for number in range(1, 6):
            federation.commit(answers(federation, number).values(), number)
        node = federation.strategy.roster.profiles["cedar"].node_id
        del federation.grid._contexts[node].state[PRIVATE]
        federation.commit(answers(federation, 6).values(), 6)
    assert federation.strategy.outcome is not None
    verdict = federation.strategy.outcome.verdicts["cedar"]
    assert isinstance(verdict, Refused)
    assert verdict.reason == "site_error"
    assert "cedar" in verdict.detail


def test_without_a_site_of_two_modalities_there_is_no_stage_2(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = {"elm": {"image": 1.0, "sound": 1.0}, "birch": {"sound": 1.0, "blood": 1.0}}
    missing = SitewiseConfig(rates={}, reversed_sites=0, table=alone).model_dump()
    found = use(monkeypatch, made_dataset(made_site("elm"), made_site("birch")))
    with identity(1) as run, pytest.raises(ConfigError, match="no site holds two modalities"):
        open_federation(config("harmony", missingness=missing), found, client_app, run)


@pytest.mark.parametrize(
    ("method", "change", "words"),
    [
        ("fedavg_owner", {"aggregation__rule": "harmony"}, "harmony is both or neither"),
        ("harmony", {"aggregation__rule": "mean"}, "harmony is both or neither"),
        ("harmony", {"model__fusion": "concat"}, "needs residual"),
    ],
)
def test_half_of_harmony_is_refused(method: str, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made_config(method, **change)


def test_fedmsplit_sends_each_site_its_mixture_and_the_plain_mean_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from fedmce.aggregation.attention import attention_mix

    with identity(1) as run:
        federation = open_federation(config("fedmsplit"), dataset(monkeypatch), client_app, run)
        replies = answers(federation, 1)
        state = federation.commit(replies.values(), 1)
        updates = {s: arrays_of(r.content["update"]) for s, r in replies.items()}
        outcome = federation.strategy.outcome
        answers(federation, 2)
        sent = {s.expected.site: s.message.content for s in federation.strategy._sent}
    assert outcome is not None
    holders = {s: {"w": u["encoder.image/out.weight"]} for s, u in updates.items() if "encoder.image/out.weight" in u}
    assert set(holders) == {"ash", "birch", "cedar"}
    key = "fusion/out.weight"
    assert len({state.personal[s][key].tobytes() for s in updates}) == 5
    np.testing.assert_allclose(
        state.model[key], np.mean([u[key].astype("f8") for u in updates.values()], axis=0), rtol=1e-5
    )
    component = {s: {k: v for k, v in u.items() if component_of(k) == "fusion"} for s, u in updates.items()}
    whole = {
        c: {s: {k: v for k, v in u.items() if component_of(k) == c} for s, u in updates.items() if c in names(u)}
        for c in {name for u in updates.values() for name in names(u)}
    }
    expected = attention_mix(whole).states["fusion"]
    assert set(expected) == set(component)
    for site in updates:
        assert np.array_equal(state.personal[site][key], expected[site][key])
        assert np.array_equal(arrays_of(sent[site]["model"])[key], expected[site][key])
        assert np.array_equal(arrays_of(sent[site]["shared"])[key], state.model[key])
    assert 0 < outcome.personal["weight_of_others"]["fusion"] < 1


def names(update: Any) -> set[str]:
    return {component_of(key) for key in update}


def test_a_site_that_does_not_answer_keeps_its_mixture(monkeypatch: pytest.MonkeyPatch) -> None:
    with identity(1) as run:
        federation = open_federation(config("fedmsplit"), dataset(monkeypatch), client_app, run)
        first = federation.commit(answers(federation, 1).values(), 1).personal
        replies = answers(federation, 2)
        second = federation.commit([r for s, r in replies.items() if s != "ash"], 2).personal
    assert same_bits(first["ash"], second["ash"])
    assert not same_bits(first["birch"], second["birch"])
