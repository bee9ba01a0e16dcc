"""Every broken reply is set aside by name, and the model is what it would be without that site."""

from __future__ import annotations

from typing import Any

import pytest
from flwr.app import Array, Error

from fedmce.flower_compat import Message
from fedmce.models import component_of, modality_of
from server.gate import Accepted, Refused
from tests.server.faults import CLAIM_FAULTS, FAULTS, METRIC_FAULTS, Fault, Parts
from tests.server.made import Federation, same_bits


@pytest.fixture(scope="module")
def honest(federation: Federation) -> dict[str, Message]:
    """The sites' own replies to round 1, and what they were sent."""
    return federation.train_replies()


@pytest.fixture(scope="module")
def without(federation: Federation, honest: dict[str, Message]) -> dict[str, dict[str, Any]]:
    """The committed model where one site answered with an error, per site."""
    found = {}
    for site, sent in zip(federation.sites, federation.strategy._sent, strict=True):
        error = Message(Error(code=2, reason="the disk is full"), reply_to=sent.message)
        federation.rewind()
        found[site] = federation.commit((honest | {site: error}).values()).model
        verdict = federation.strategy.outcome.verdicts[site]
        assert verdict == Refused("site_error", f"{site}, check 6: code 2")
    return found


def reply_of(federation: Federation, honest: dict[str, Message], site: str, fault: Fault) -> Message:
    parts = Parts(honest[site])
    parts.update = {k: Array(a.dtype, a.shape, a.stype, a.data) for k, a in parts.update.items()}
    fault.do(parts)
    return parts.reply_to(federation.strategy._sent[federation.sites.index(site)].message)


def test_honest_replies_are_all_accepted(federation: Federation, honest: dict[str, Message]) -> None:
    federation.rewind()
    rebuilt = {site: reply_of(federation, honest, site, Fault("", "", lambda p: None)) for site in honest}
    model = federation.commit(rebuilt.values()).model
    assert all(isinstance(v, Accepted) for v in federation.strategy.outcome.verdicts.values())
    federation.rewind()
    assert same_bits(model, federation.commit(honest.values()).model)


@pytest.mark.parametrize("position", ["first", "middle", "last"])
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_broken_reply_is_set_aside_by_name_as_if_the_site_had_not_answered(
    federation: Federation, honest: dict[str, Message], without: dict[str, Any], fault: Fault, position: str
) -> None:
    site = federation.sites[{"first": 0, "middle": 1, "last": -1}[position]]
    federation.rewind()
    state = federation.commit((honest | {site: reply_of(federation, honest, site, fault)}).values())
    verdict = federation.strategy.outcome.verdicts[site]
    assert isinstance(verdict, Refused), verdict
    assert verdict.reason == fault.reason, verdict
    assert state.round == 1
    assert same_bits(state.model, without[site])
    others = set(federation.sites) - {site}
    assert all(isinstance(federation.strategy.outcome.verdicts[name], Accepted) for name in others)


@pytest.mark.parametrize("fault", METRIC_FAULTS, ids=lambda fault: fault.name)
def test_a_bad_metric_costs_the_metrics_and_nothing_else(
    federation: Federation, honest: dict[str, Message], fault: Fault
) -> None:
    federation.rewind()
    whole = federation.commit(honest.values()).model
    site = federation.sites[1]
    federation.rewind()
    state = federation.commit((honest | {site: reply_of(federation, honest, site, fault)}).values())
    verdict = federation.strategy.outcome.verdicts[site]
    assert isinstance(verdict, Accepted), verdict
    assert [note.reason for note in verdict.notes] == ["metric"]
    assert not verdict.cells
    assert not verdict.losses
    assert verdict.tally is not None
    assert same_bits(state.model, whole)


@pytest.mark.parametrize("fault", CLAIM_FAULTS, ids=lambda fault: fault.name)
def test_a_bad_claim_costs_the_claims_and_nothing_else(
    federation: Federation, honest: dict[str, Message], fault: Fault
) -> None:
    site = federation.sites[1]
    silent = Fault("", "", lambda p: [p.report.pop(k) for k in list(p.report) if k.startswith(("value.", "share."))])
    models = []
    for one in (silent, fault):
        federation.rewind()
        models.append(federation.commit((honest | {site: reply_of(federation, honest, site, one)}).values()).model)
        verdict = federation.strategy.outcome.verdicts[site]
        assert isinstance(verdict, Accepted), verdict
        assert [note.reason for note in verdict.notes] == ["claim"]
        assert verdict.tally is None
        assert verdict.cells
    assert same_bits(*models)


def test_leaving_one_site_out_changes_the_model(
    federation: Federation, honest: dict[str, Message], without: dict[str, Any]
) -> None:
    federation.rewind()
    whole = federation.commit(honest.values()).model
    models = [whole, *without.values()]
    assert not any(same_bits(a, b) for i, a in enumerate(models) for b in models[:i])


@pytest.mark.parametrize("change", [{"round": True}, {"round": 1.0}], ids=["true is not round 1", "1.0 is not round 1"])
def test_a_stamp_is_compared_with_its_type(
    federation: Federation, honest: dict[str, Message], change: dict[str, Any]
) -> None:
    federation.rewind()
    reply = reply_of(federation, honest, "ash", Fault("", "", lambda p: p.stamp.update(change)))
    federation.commit((honest | {"ash": reply}).values())
    verdict = federation.strategy.outcome.verdicts["ash"]
    assert isinstance(verdict, Refused)
    assert verdict.reason == "wrong_round"


@pytest.mark.parametrize(("site", "modality"), [("birch", "sound"), ("dale", "image")])
def test_a_component_that_was_not_granted_is_refused(
    federation: Federation, honest: dict[str, Message], without: dict[str, Any], site: str, modality: str
) -> None:
    def add_foreign(parts: Parts) -> None:
        key = next(k for k in sorted(federation.initial.model) if k.startswith(f"head.{modality}/"))
        parts.update[key] = Array(federation.initial.model[key])

    federation.rewind()
    reply = reply_of(federation, honest, site, Fault("", "", add_foreign))
    state = federation.commit((honest | {site: reply}).values())
    head = f"head.{modality}"
    assert federation.strategy.outcome.verdicts[site] == Refused(
        "not_granted", f"{site}, check 13, {head}: {head} was not given to this site", head
    )
    assert same_bits(state.model, without[site])


@pytest.mark.parametrize("site", ["ash", "birch", "cedar", "dale"])
def test_no_reply_is_late_and_changes_nothing_else(
    federation: Federation, honest: dict[str, Message], without: dict[str, Any], site: str
) -> None:
    federation.rewind()
    state = federation.commit([reply for name, reply in honest.items() if name != site])
    assert federation.strategy.outcome.verdicts[site].reason == "late"
    assert same_bits(state.model, without[site])


def test_a_void_round_counts_and_leaves_the_model(federation: Federation, honest: dict[str, Message]) -> None:
    federation.rewind()
    state = federation.commit([])
    assert federation.strategy.outcome.void
    assert state.round == 1
    assert same_bits(state.model, federation.initial.model)
    assert state.quality == federation.initial.quality


def test_fewer_accepted_replies_than_asked_for_make_a_void_round(
    federation: Federation, honest: dict[str, Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = federation.strategy.config
    stricter = config.model_copy(update={"exchange": config.exchange.model_copy(update={"accept_min": 4})})
    monkeypatch.setattr(federation.strategy, "config", stricter)
    federation.rewind()
    assert not same_bits(federation.commit(honest.values()).model, federation.initial.model)
    federation.rewind()
    state = federation.commit(list(honest.values())[:3])
    assert federation.strategy.outcome.void
    assert state.round == 1
    assert same_bits(state.model, federation.initial.model)


def test_after_a_round_with_broken_replies_the_next_one_goes_on(federation: Federation) -> None:
    federation.rewind()
    for number, fault in enumerate(FAULTS[:8], start=1):
        replies = federation.train_replies(number)
        site = federation.sites[number % 4]
        replies[site] = reply_of(federation, replies, site, fault)
        before = federation.strategy.state.model
        state = federation.commit(replies.values(), number)
        assert [s for s, v in federation.strategy.outcome.verdicts.items() if isinstance(v, Refused)] == [site]
        assert state.round == number
        assert not same_bits(state.model, before)


def test_the_components_of_a_reply_are_those_that_the_site_holds(honest: dict[str, Message]) -> None:
    for site, lacks in {"birch": "sound", "dale": "image"}.items():
        modalities = {modality_of(component_of(key)) for key in honest[site].content["update"]}
        assert lacks not in modalities
        assert len(modalities) == 3  # fusion's None among them
