"""Arrays that an objective shares beside the model: what comes down, what the gate lets through, what is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from client.app import app as client_app
from fedmce.data import FederatedDataset
from fedmce.flower_compat import ArrayRecord, Message, RecordDict, array_record, arrays_of, identity
from fedmce.models import component_of, modality_of
from server.gate import Accepted, Refused
from tests.server.made import LACKS, Federation, made_config, made_dataset, open_federation, same_bits, use

SGD = {"training__optimiser": "sgd", "training__momentum": 0.0}
Told = dict[str, Any]


@pytest.fixture(scope="module")
def scaffold() -> Iterator[Federation]:
    with pytest.MonkeyPatch.context() as patch, identity(1) as run:
        yield open_federation(made_config("scaffold", **SGD), use(patch, made_dataset()), client_app, run)


@pytest.fixture(scope="module")
def honest(scaffold: Federation) -> dict[str, Message]:
    return scaffold.train_replies()


def test_a_site_is_given_and_tells_what_it_works_on(scaffold: Federation, honest: dict[str, Message]) -> None:
    for sent in scaffold.strategy._sent:
        site = sent.expected.site
        down, up = sent.message.content["shared"], honest[site].content["shared"]
        assert set(down) == set(up) == set(sent.message.content["model"])
        assert LACKS.get(site, "none") not in {modality_of(component_of(key)) for key in down}


def test_a_round_is_accepted_and_commits_the_mean_change_over_all_holders(
    scaffold: Federation, honest: dict[str, Message]
) -> None:
    scaffold.rewind()
    state = scaffold.commit(honest.values())
    assert scaffold.strategy.outcome is not None
    assert len(scaffold.strategy.outcome.accepted) == 4
    told = {site: arrays_of(reply.content["shared"]) for site, reply in honest.items()}
    for key, value in state.shared.items():
        changes = [told[site][key].astype(np.float64) for site in sorted(told) if key in told[site]]
        assert len(changes) == (3 if modality_of(component_of(key)) in ("image", "sound") else 4)
        np.testing.assert_allclose(value, sum(changes) / len(changes), rtol=1e-6)


def test_one_site_less_still_divides_by_all_holders(scaffold: Federation, honest: dict[str, Message]) -> None:
    scaffold.rewind()
    state = scaffold.commit([reply for site, reply in honest.items() if site != "ash"])
    own = arrays_of(honest["cedar"].content["shared"])
    others = arrays_of(honest["birch"].content["shared"])
    key = "encoder.image/out.weight"
    np.testing.assert_allclose(state.shared[key], (own[key].astype("f8") + others[key]) / 3, rtol=1e-6)


def test_the_node_remembers_its_own_controls(scaffold: Federation, honest: dict[str, Message]) -> None:
    node = scaffold.strategy.roster.profiles["ash"].node_id
    kept = arrays_of(scaffold.grid._contexts[node].state.array_records["objective"])
    assert same_bits(kept, arrays_of(honest["ash"].content["shared"]))  # the first change is from 0


def poked(number: float) -> Callable[[Told], Any]:
    def poke(told: Told) -> None:
        key = min(told)
        told[key] = told[key].copy()
        told[key].flat[-1] = number

    return poke


FAULTS: dict[str, tuple[str, str, Callable[[Told], Any]]] = {
    "one is missing": ("key_set", "shared arrays", lambda t: t.pop(min(t))),
    "one too many": ("key_set", "shared arrays", lambda t: t.update({"encoder.xray/w": np.zeros(1, "f4")})),
    "another shape": ("shape", "encoder.blood/1.bias", lambda t: t.update({min(t): np.zeros((9, 9), "f4")})),
    "another type": ("dtype", "float64", lambda t: t.update({min(t): t[min(t)].astype("f8")})),
    "nan": ("nonfinite", "NaN or infinity", poked(np.nan)),
    "infinity": ("nonfinite", "NaN or infinity", poked(np.inf)),
    "too large": ("magnitude", "limit", poked(1.01e4)),
}


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_shared_arrays_that_are_not_as_agreed_are_refused_by_name_and_the_site_is_left_out(
    scaffold: Federation, honest: dict[str, Message], name: str
) -> None:
    reason, words, change = FAULTS[name]
    scaffold.rewind()
    without = scaffold.commit([reply for site, reply in honest.items() if site != "birch"])
    told = arrays_of(honest["birch"].content["shared"])
    change(told)
    broken = rewritten(scaffold, honest["birch"], {"shared": array_record(told)})
    scaffold.rewind()
    state = scaffold.commit((honest | {"birch": broken}).values())
    assert scaffold.strategy.outcome is not None
    verdict = scaffold.strategy.outcome.verdicts["birch"]
    assert isinstance(verdict, Refused)
    assert (verdict.reason, words in verdict.detail) == (reason, True), verdict
    assert same_bits(state.model, without.model)
    assert same_bits(state.shared, without.shared)


def rewritten(federation: Federation, reply: Message, records: dict[str, ArrayRecord]) -> Message:
    sent = next(s for s in federation.strategy._sent if s.expected.site == "birch")
    content: dict[str, Any] = dict(reply.content.items())
    return Message(RecordDict(content | records), reply_to=sent.message)


def test_an_absent_record_and_one_that_nobody_asked_for_are_refused(
    scaffold: Federation, honest: dict[str, Message], made: FederatedDataset
) -> None:
    content: dict[str, Any] = {n: r for n, r in honest["birch"].content.items() if n != "shared"}
    sent = next(s for s in scaffold.strategy._sent if s.expected.site == "birch")
    scaffold.rewind()
    scaffold.commit((honest | {"birch": Message(RecordDict(content), reply_to=sent.message)}).values())
    assert scaffold.strategy.outcome is not None
    verdict = scaffold.strategy.outcome.verdicts["birch"]
    assert isinstance(verdict, Refused)
    assert verdict.reason == "layout"
    with identity(1) as run:
        plain = open_federation(made_config("fedavg_owner"), made, client_app, run)
        replies = plain.train_replies()
        gift = rewritten(plain, replies["birch"], {"shared": array_record({"x": np.zeros(1, "f4")})})
        plain.commit((replies | {"birch": gift}).values())
    assert plain.strategy.outcome is not None
    verdict = plain.strategy.outcome.verdicts["birch"]
    assert isinstance(verdict, Refused)
    assert verdict.reason == "layout"
    assert all(isinstance(v, Accepted) for s, v in plain.strategy.outcome.verdicts.items() if s != "birch")


@pytest.mark.parametrize(
    "change",
    [
        {"training__optimiser": "adam"},
        SGD | {"training__momentum": 0.5},
        SGD | {"training__weight_decay": 0.01},
        SGD | {"aggregation__private": ("head",)},
    ],
)
def test_scaffold_asks_for_plain_steps_and_common_components(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="objective=scaffold"):
        made_config("scaffold", **change)
