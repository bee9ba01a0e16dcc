"""Update replies (U): each bad one is set aside by name, first, in the middle or last, as if its site had not answered."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, Error

import server.gate.judge as judge_module
from client.app import app as client_app
from fedmce.aggregation import NormHistory
from fedmce.flower_compat import ArrayRecord, Message, RecordDict, arrays_of, identity
from fedmce.models import component_of, components, select
from server.exchange import Waited
from server.gate import Accepted, Note, Refused, Sent, strike_of
from server.rounds import Progress, conduct_of
from server.state import GlobalState
from server.strategy import RoundOutcome
from tests.server.faults import CLAIM_FAULTS, FAULTS, Fault, Parts
from tests.server.made import Federation, made_config, made_dataset, open_federation, same_bits, use

BY_NAME = {fault.name: fault for fault in FAULTS}
POSITIONS = (0, 2, -1)
NOTHING = Fault("", "", lambda parts: None)


@dataclass
class Round:
    """One round of a federation whose sites have answered; every case judges and averages it anew."""

    federation: Federation
    honest: dict[str, Message]
    without: dict[str, GlobalState] = field(default_factory=dict)

    @property
    def sites(self) -> list[str]:
        return self.federation.sites

    def broken(self, site: str, fault: Fault) -> Message:
        parts = Parts(self.honest[site])
        parts.update = {k: Array(a.dtype, a.shape, a.stype, a.data) for k, a in parts.update.items()}
        fault.do(parts)
        return parts.reply_to(self.sent(site))

    def sent(self, site: str) -> Message:
        return self.federation.strategy._sent[self.sites.index(site)].message

    def commit(self, replies: Any) -> GlobalState:
        self.federation.rewind()
        return self.federation.commit(replies)

    def verdicts(self) -> dict[str, Accepted | Refused]:
        assert self.federation.strategy.outcome is not None
        return self.federation.strategy.outcome.verdicts

    def alone(self, site: str) -> GlobalState:
        """The state where this site did not answer."""
        if site not in self.without:
            self.without[site] = self.commit([reply for name, reply in self.honest.items() if name != site])
        return self.without[site]

    def set_aside(self, fault: Fault, positions: tuple[int, ...] = POSITIONS) -> None:
        """The law of this file, for one bad reply at each place in the order of arrival."""
        for position in positions:
            site = self.sites[position]
            expected = self.alone(site)
            state = self.commit((self.honest | {site: self.broken(site, fault)}).values())
            verdict = self.verdicts()[site]
            assert isinstance(verdict, Refused), verdict
            assert verdict.reason == fault.reason, verdict
            assert f"{site}, check {verdict.check}" in verdict.detail
            assert len(verdict.detail) <= 300
            assert same_bits(state.model, expected.model)
            assert all(isinstance(self.verdicts()[name], Accepted) for name in self.sites if name != site)


@pytest.fixture(scope="module")
def played() -> Iterator[Round]:
    with pytest.MonkeyPatch.context() as patch, identity(1) as run:
        federation = open_federation(made_config(), use(patch, made_dataset()), client_app, run).warm()
        yield Round(federation, federation.train_replies())


def named(*names: str) -> Any:
    return pytest.mark.parametrize("fault", [BY_NAME[name] for name in names], ids=list(names))


def test_U01_nan(played: Round) -> None:
    played.set_aside(BY_NAME["nan"])


@named("plus infinity", "minus infinity")
def test_U02_infinity(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


def test_U03_nan_in_one_component_condemns_the_whole_reply(played: Round) -> None:
    def spoil(parts: Parts) -> None:
        key = next(k for k in sorted(parts.update) if k.startswith("encoder.blood/"))
        parts.update[key] = Array(np.full(parts.update[key].shape, math.nan, np.float32))

    played.set_aside(Fault("", "nonfinite", spoil))


def test_U04_a_huge_value(played: Round) -> None:
    played.set_aside(BY_NAME["large and infinite"])


def test_U05_the_largest_float(played: Round) -> None:
    played.set_aside(BY_NAME["largest float"])


# --- norms ----------------------------------------------------------------------------------------


def longer(played: Round, site: str, component: str, times: float) -> tuple[Message, dict[str, float]]:
    """The site's reply with a component moved so many times as far, and the limits of a history of its true norm."""
    base = played.federation.strategy._sent[played.sites.index(site)].expected.sent
    parts = Parts(played.honest[site])
    squares = 0.0
    for key in [key for key in parts.update if component_of(key) == component]:
        change = parts.update[key].numpy().astype(float) - base[key]
        squares += float(np.square(change).sum())
        parts.update[key] = Array((base[key] + times * change).astype(np.float32))
    history = NormHistory()
    for _ in range(5):
        history = history.updated({component: dict.fromkeys(played.sites, math.sqrt(squares))})
    return parts.reply_to(played.sent(site)), history.refusal_limits()


@contextmanager
def expecting(played: Round, **changes: Any) -> Iterator[None]:
    """All expectations of the round changed."""
    strategy = played.federation.strategy
    before = strategy._sent
    strategy._sent = [Sent(one.message, replace(one.expected, **changes)) for one in before]
    strategy._gate = strategy._open_gate()
    try:
        yield
    finally:
        strategy._sent = before
        strategy._gate = strategy._open_gate()


@pytest.mark.parametrize("position", POSITIONS)
def test_U06_a_change_of_fifty_medians_costs_its_component(played: Round, position: int) -> None:
    site, component = played.sites[position], "fusion"
    whole, alone = played.commit(played.honest.values()), played.alone(site)
    reply, limits = longer(played, site, component, 50)
    with expecting(played, norm_limits=limits):
        state = played.commit((played.honest | {site: reply}).values())
    verdict = played.verdicts()[site]
    assert isinstance(verdict, Accepted)
    assert verdict.set_aside == {component: "norm"}
    assert verdict.rows[component] == 0
    assert not any(component_of(key) == component for key in verdict.update)
    rest = [name for name in components(whole.model) if name != component]
    assert same_bits(select(state.model, rest), select(whole.model, rest))
    assert same_bits(select(state.model, [component]), select(alone.model, [component]))
    assert not same_bits(select(alone.model, [component]), select(whole.model, [component]))


def test_U06_what_the_federation_has_seen_makes_the_limit(played: Round) -> None:
    strategy = played.federation.strategy
    history = NormHistory()
    for _ in range(5):
        history = history.updated({"fusion": dict.fromkeys(played.sites, 2.0)})
    strategy.state = replace(played.federation.initial, norms=history)
    written = strategy._letters.write("train", "ash", 1, strategy.state, _encoded(strategy.state))
    assert written.expected.norm_limits == {"fusion": 20.0}
    played.federation.rewind()


def _encoded(state: GlobalState) -> ArrayRecord:
    from fedmce.flower_compat import array_record

    return array_record(state.model)


def test_U07_a_change_of_five_medians_passes_the_gate(played: Round) -> None:
    reply, limits = longer(played, "ash", "fusion", 5)
    free = played.commit((played.honest | {"ash": reply}).values())
    with expecting(played, norm_limits=limits):
        state = played.commit((played.honest | {"ash": reply}).values())
    verdict = played.verdicts()["ash"]
    assert isinstance(verdict, Accepted)
    assert not verdict.set_aside
    assert verdict.norms["fusion"] == pytest.approx(limits["fusion"] / 2, rel=1e-4)
    assert same_bits(state.model, free.model)


# --- arrays ---------------------------------------------------------------------------------------


def test_U08_another_shape(played: Round) -> None:
    played.set_aside(Fault("", "shape", lambda p: p.set(np.repeat(p.value, 2, axis=0))))


@named("one row for all", "scalar")
def test_U09_a_shape_that_would_broadcast(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


@named("transposed", "shape turned in the record", "shape turned in the header", "flattened")
def test_U10_a_shape_of_as_many_entries(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


@named("float64", "float16", "integers", "complex", "texts", "truth values")
def test_U11_another_type(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


@named("other endian", "fortran order")
def test_U12_another_order_of_bytes_or_axes(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


@named("shape lies", "dtype lies", "integers that lie")
def test_U13_record_and_header_disagree(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


@named("pickle", "structured", "code as header")
def test_U14_nothing_in_a_header_is_run(
    played: Round, fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    played.set_aside(fault)
    assert not list(tmp_path.iterdir())


def test_U15_another_serialisation(played: Round) -> None:
    played.set_aside(BY_NAME["other serialisation"])


@named("bytes cut off", "bytes too many", "no bytes")
def test_U16_another_length(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


@named("long header", "nested header", "npy version 3")
def test_U17_a_header_that_numpy_does_not_write(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


# --- keys and records -----------------------------------------------------------------------------


def test_U18_a_missing_parameter(played: Round) -> None:
    played.set_aside(BY_NAME["missing key"])


def test_U19_a_further_parameter(played: Round) -> None:
    played.set_aside(BY_NAME["unknown key"])


def test_U20_the_order_of_keys_is_nothing(played: Round) -> None:
    def turned(message: Message, sent: Message) -> Message:
        content = {n: type(r)(dict(reversed(list(r.items())))) for n, r in reversed(list(message.content.items()))}
        return Message(RecordDict(content), reply_to=sent)

    whole = played.commit(played.honest.values())
    state = played.commit([turned(reply, played.sent(site)) for site, reply in played.honest.items()])
    assert same_bits(state.model, whole.model)


@pytest.mark.parametrize(("site", "modality"), [("birch", "sound"), ("dale", "image")])
def test_U21_a_component_that_was_not_granted(played: Round, site: str, modality: str) -> None:
    key = next(k for k in sorted(played.federation.initial.model) if k.startswith(f"encoder.{modality}/"))
    foreign = Array(played.federation.initial.model[key])
    played.set_aside(Fault("", "not_granted", lambda p: p.update.update({key: foreign})), (played.sites.index(site),))


def test_U22_an_unknown_component(played: Round) -> None:
    played.set_aside(BY_NAME["unknown component"])


@pytest.mark.parametrize("position", POSITIONS)
def test_U23_a_component_left_out_is_a_note_and_twice_running_a_strike(played: Round, position: int) -> None:
    site, component = played.sites[position], "fusion"
    drop = Fault("", "", lambda p: [p.update.pop(k) for k in list(p.update) if component_of(k) == component])
    whole, alone = played.commit(played.honest.values()), played.alone(site)
    state = played.commit((played.honest | {site: played.broken(site, drop)}).values())
    verdict = played.verdicts()[site]
    assert isinstance(verdict, Accepted)
    assert verdict.left_out == {component}
    assert verdict.rows[component] == 0
    assert same_bits(select(state.model, [component]), select(alone.model, [component]))
    rest = [name for name in components(whole.model) if name != component]
    assert same_bits(select(state.model, rest), select(whole.model, rest))
    assert strike_of(verdict) == "none"
    assert strike_of(verdict, frozenset({"encoder.blood"})) == "none"
    assert strike_of(verdict, verdict.left_out) == "content"


def test_U23_the_loop_remembers_what_was_left_out_and_forgives_it() -> None:
    site, waited = "ash", Waited(1.0, True, ())
    gone, whole = (Accepted({}, {}, None, {}, {}, {}, notes=notes) for notes in ((Note("key_set", "", "fusion"),), ()))
    progress, seen = Progress(), []
    for number, verdict in enumerate((gone, gone, whole, gone), start=1):
        outcome = RoundOutcome({site: verdict}, None, {}, {}, {}, {}, {}, void=False)
        conduct = conduct_of(outcome, waited, progress.left_out)
        seen.append(conduct[site])
        progress = progress.after(number, conduct, 1.0, False, {site: verdict.left_out})
        progress = Progress.from_json(progress.to_json())
    assert seen == ["good", "content", "good", "good"]


@pytest.mark.parametrize(
    ("reason", "conduct"),
    [("nonfinite", "content"), ("internal", "content"), ("transport", "failed"), ("site_error", "failed")]
    + [("wrong_round", "surplus"), ("copied", "content"), ("late", "late")],
)
def test_what_a_refusal_adds_to_the_standing_of_a_site(reason: Any, conduct: str) -> None:
    outcome = RoundOutcome({"ash": Refused(reason)}, None, {}, {}, {}, {}, {}, void=False)
    assert conduct_of(outcome, Waited(1.0, False, ())) == {"ash": conduct}


def test_U24_an_empty_update(played: Round) -> None:
    played.set_aside(BY_NAME["empty update"])


@named("two updates", "record of another kind", "missing update", "extra record", "nothing", "missing stamp")
def test_U25_other_records(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


# --- counts ---------------------------------------------------------------------------------------


def test_U26_a_count_below_zero(played: Round) -> None:
    played.set_aside(Fault("", "count_range", lambda p: p.report.update({p.count(): -5})))


def test_U26_a_count_of_zero_takes_the_weight_from_its_component(played: Round) -> None:
    check_component(played, lambda p: p.report.update({p.count(): 0}), "fusion")


@named("very large count")
def test_U27_a_count_that_would_buy_the_round(played: Round, fault: Fault) -> None:
    played.set_aside(fault)
    played.set_aside(Fault("", "count_above_profile", lambda p: p.report.update({p.count(): 10**18})))


@named("nan count", "infinite count", "float count", "list count", "bool count", "missing count", "count of a stranger")
def test_U28_what_is_no_count(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


@pytest.mark.parametrize("component", ["encoder.image", "completion.blood"])
def test_U29_a_count_above_that_of_the_modality(played: Round, component: str) -> None:
    """Cedar misses images on half of its rows; all of its rows would fit the site but not the modality."""
    cedar = played.sites.index("cedar")
    most = played.federation.strategy._sent[cedar].expected.most_rows[component]
    fault = Fault("", "count_above_profile", lambda p: p.report.update({f"rows.{component}": most + 1}))
    played.set_aside(fault, (cedar,))


def test_U30_a_count_below_the_floor(played: Round) -> None:
    with expecting(played, floor=10):
        check_component(played, lambda p: p.report.update({p.count(): 3}), "fusion")


def check_component(played: Round, do: Callable[[Parts], Any], component: str) -> None:
    """The component is as without the site, the others are as with it."""
    whole = played.commit(played.honest.values())
    rest = [name for name in components(whole.model) if name != component]
    for position in POSITIONS:
        site = played.sites[position]
        alone = played.alone(site)
        state = played.commit((played.honest | {site: played.broken(site, Fault("", "", do))}).values())
        verdict = played.verdicts()[site]
        assert isinstance(verdict, Accepted), verdict
        assert verdict.set_aside == {component: "count_range"}
        assert same_bits(select(state.model, [component]), select(alone.model, [component]))
        assert same_bits(select(state.model, rest), select(whole.model, rest))


@named("no steps", "too many steps", "steps with a fraction", "missing steps")
def test_U31_steps_that_the_plan_cannot_make(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


# --- envelope -------------------------------------------------------------------------------------


@pytest.mark.parametrize("position", POSITIONS)
def test_U32_the_same_reply_twice_counts_once(played: Round, position: int) -> None:
    site = played.sites[position]
    whole = played.commit(played.honest.values())
    state = played.commit([*played.honest.values(), played.honest[site]])
    assert same_bits(state.model, whole.model)
    assert strays(played) == [(site, "duplicate")]
    assert strike_of(played.federation.strategy.outcome.strays[0].refused) == "none"  # type: ignore[union-attr]


def strays(played: Round) -> list[tuple[str | None, str]]:
    assert played.federation.strategy.outcome is not None
    return [(stray.site, stray.refused.reason) for stray in played.federation.strategy.outcome.strays]


def test_U33_of_two_replies_the_first_counts_whatever_it_is(played: Round) -> None:
    site = "ash"
    bad = played.broken(site, BY_NAME["nan"])
    whole, alone = played.commit(played.honest.values()), played.alone(site)
    assert same_bits(played.commit([*played.honest.values(), bad]).model, whole.model)
    assert strays(played) == [(site, "duplicate")]
    assert same_bits(played.commit([bad, *played.honest.values()]).model, alone.model)
    assert strays(played) == [(site, "duplicate")]
    assert played.verdicts()[site].reason == "nonfinite"  # type: ignore[union-attr]


def envelope(reply: Message, **changes: Any) -> Message:
    """The reply in another envelope."""
    found = Message(reply.content, reply_to=reply)
    found.metadata.__dict__.update(reply.metadata.__dict__)
    found.metadata.__dict__.update({f"_{name}": value for name, value in changes.items()})
    return found


@pytest.mark.parametrize("position", POSITIONS)
def test_U34_an_answer_to_an_older_message_is_no_answer(played: Round, position: int) -> None:
    site = played.sites[position]
    old = envelope(played.honest[site], reply_to_message_id="m0")
    alone = played.alone(site)
    replies = played.honest | {site: old}
    assert same_bits(played.commit(replies.values()).model, alone.model)
    assert strays(played) == [(site, "wrong_round")]
    assert played.verdicts()[site].reason == "late"  # type: ignore[union-attr]
    whole = played.commit(played.honest.values())
    assert same_bits(played.commit([*replies.values(), played.honest[site]]).model, whole.model)


def test_U34_an_answer_to_the_message_of_another_site_is_no_answer(played: Round) -> None:
    stolen = envelope(played.honest["ash"], reply_to_message_id=played.sent("birch").metadata.message_id)
    whole = played.commit(played.honest.values())
    assert same_bits(played.commit([stolen, *played.honest.values()]).model, whole.model)
    assert strays(played) == [("ash", "wrong_round")]


@named("wrong round", "wrong site")
def test_U35_the_stamp_of_another_round(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


@named("stale base", "wrong configuration", "wrong schema", "later schema")
def test_U36_the_base_of_another_round(played: Round, fault: Fault) -> None:
    played.set_aside(fault)


def test_U36_a_later_minor_version_of_the_schema_is_read(played: Round) -> None:
    newer = Fault("", "", lambda p: p.stamp.update(schema=f"{p.stamp['schema']}.7"))
    played.commit((played.honest | {"ash": played.broken("ash", newer)}).values())
    assert isinstance(played.verdicts()["ash"], Accepted)


@pytest.mark.parametrize("place", ["first", "last"])
def test_U37_a_node_that_was_not_asked(played: Round, place: str) -> None:
    stranger = envelope(played.honest["ash"], src_node_id=77)
    whole = played.commit(played.honest.values())
    replies = list(played.honest.values())
    state = played.commit([stranger, *replies] if place == "first" else [*replies, stranger])
    assert same_bits(state.model, whole.model)
    assert strays(played) == [(None, "unknown_node")]


def test_U37_a_site_that_is_on_the_bench_or_expelled_is_not_asked_and_cannot_answer(played: Round) -> None:
    strategy = played.federation.strategy
    before = strategy._sent
    strategy._sent = [one for one in before if one.expected.site != "ash"]
    strategy._gate = strategy._open_gate()
    try:
        state = played.commit(played.honest.values())
        assert strays(played) == [(None, "unknown_node")]
        assert "ash" not in played.verdicts()
    finally:
        strategy._sent = before
        strategy._gate = strategy._open_gate()
    assert same_bits(state.model, played.alone("ash").model)


@pytest.mark.parametrize("position", POSITIONS)
def test_U38_another_run(played: Round, position: int) -> None:
    site = played.sites[position]
    other = envelope(played.honest[site], run_id=99)
    alone = played.alone(site)
    assert same_bits(played.commit((played.honest | {site: other}).values()).model, alone.model)
    assert strays(played) == [(site, "wrong_run")]


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [*range(9), 99])
def test_U41_the_codes_of_errors(played: Round, code: int) -> None:
    canary = "patient Q-Zwölf in /secret/path"
    for position in POSITIONS:
        site = played.sites[position]
        alone = played.alone(site)
        error = Message(Error(code=code, reason=canary), reply_to=played.sent(site))
        assert same_bits(played.commit((played.honest | {site: error}).values()).model, alone.model)
        verdict = played.verdicts()[site]
        assert isinstance(verdict, Refused)
        assert verdict.reason == ("transport" if code in (3, 4, 5, 8) else "site_error")
        assert str(code) in verdict.detail
        assert "Zwölf" not in repr(played.federation.strategy.outcome)
        assert strike_of(verdict) == "liveness"


def test_U41_what_flower_says_in_the_place_of_a_node_has_no_sender(played: Round) -> None:
    error = Message(Error(code=5, reason="Node Unavailable"), reply_to=played.sent("ash"))
    flowers = Message(error.error, reply_to=played.sent("ash"))
    flowers.metadata.__dict__.update(error.metadata.__dict__ | {"_src_node_id": 1})
    alone = played.alone("ash")
    assert same_bits(played.commit((played.honest | {"ash": flowers}).values()).model, alone.model)
    assert played.verdicts()["ash"].reason == "transport"  # type: ignore[union-attr]
    assert not strays(played)


@pytest.mark.parametrize("text", ["x" * 10**7, "a\n\x1b[31mb\r\x00"], ids=["ten megabytes", "escape codes"])
def test_U42_the_text_of_an_error_is_kept_nowhere(played: Round, text: str) -> None:
    error = Message(Error(code=2, reason=text), reply_to=played.sent("ash"))
    played.commit((played.honest | {"ash": error}).values())
    assert played.verdicts()["ash"] == Refused("site_error", "ash, check 6: code 2")


# --- holders --------------------------------------------------------------------------------------


def test_U46_each_component_is_the_mean_over_its_holders() -> None:
    with pytest.MonkeyPatch.context() as patch, identity(1) as run:
        config = made_config("fedavg_owner")
        federation = open_federation(config, use(patch, made_dataset()), client_app, run)
        replies = federation.train_replies()
        model = federation.commit(replies.values()).model
    outcome = federation.strategy.outcome
    assert outcome is not None
    assert len({frozenset(components(reply.content["update"])) for reply in replies.values()}) == 3
    for component in components(model):
        holders = {
            site: (arrays_of(reply.content["update"]), reply.content["report"][f"rows.{component}"])
            for site, reply in sorted(replies.items())
            if any(component_of(key) == component for key in reply.content["update"])
        }
        rows = sum(count for _, count in holders.values())
        for key in (k for k in model if component_of(k) == component):
            by_hand = sum(count * update[key].astype(np.float64) for update, count in holders.values()) / rows
            np.testing.assert_allclose(model[key], by_hand, rtol=3e-7, atol=1e-9)


def test_U47_a_component_that_nobody_returned_stays(played: Round) -> None:
    """All holders of images fail in turn: what only they hold keeps its bits, and so does the optimiser's state."""
    replies = dict(played.honest)
    for site in ("ash", "birch", "cedar"):
        replies[site] = played.broken(site, BY_NAME["nan"])
    before = played.federation.initial
    state = played.commit(replies.values())
    images = [name for name in components(before.model) if name.endswith(".image")]
    assert images
    assert same_bits(select(state.model, images), select(before.model, images))
    assert {c: state.optimiser.get(c) for c in images} == {c: before.optimiser.get(c) for c in images}
    assert not same_bits(state.model, before.model)


def test_U48_every_order_of_arrival_gives_the_same_bytes(played: Round) -> None:
    whole = played.commit(played.honest.values())
    for order in itertools.permutations(played.honest.values()):
        assert same_bits(played.commit(order).model, whole.model)


@pytest.mark.parametrize("number", [-0.0, 1e-45, -1e-40])
def test_U49_odd_but_ordinary_numbers(played: Round, number: float) -> None:
    played.commit((played.honest | {"ash": played.broken("ash", Fault("", "", lambda p: p.poke(number)))}).values())
    verdict = played.verdicts()["ash"]
    assert isinstance(verdict, Accepted)
    assert not verdict.notes


@pytest.mark.parametrize("first", ["ash", "cedar"])
def test_U50_of_two_equal_updates_the_first_counts(played: Round, first: str) -> None:
    """Ash and cedar hold the same components; the other one sends a copy."""
    second = "cedar" if first == "ash" else "ash"
    strategy = played.federation.strategy
    copy = played.broken(second, Fault("", "", lambda p: p.update.update(Parts(played.honest[first]).update)))
    replies = [played.honest[first], copy, *(r for s, r in played.honest.items() if s not in (first, second))]
    config = strategy.config
    exchange = config.exchange.model_copy(update={"refuse_copies": True})
    alone = played.alone(second)
    strategy.config = config.model_copy(update={"exchange": exchange})
    strategy._gate = strategy._open_gate()
    try:
        state = played.commit(replies)
        verdicts = dict(played.verdicts())
    finally:
        strategy.config = config
        strategy._gate = strategy._open_gate()
    assert verdicts[second].reason == "copied"  # type: ignore[union-attr]
    assert [note.reason for note in verdicts[first].notes] == ["copied"]  # type: ignore[union-attr]
    assert same_bits(state.model, alone.model)
    played.commit(replies)
    assert all(isinstance(verdict, Accepted) for verdict in played.verdicts().values())  # off in a simulation


def test_U51_a_change_of_nothing_has_no_weight(played: Round) -> None:
    base = played.federation.strategy._sent[played.sites.index("ash")].expected.sent
    still = Fault("", "", lambda p: p.update.update({key: Array(base[key]) for key in p.update}))
    alone = played.alone("ash")
    state = played.commit((played.honest | {"ash": played.broken("ash", still)}).values())
    verdict = played.verdicts()["ash"]
    assert isinstance(verdict, Accepted)
    assert {note.reason for note in verdict.notes} == {"idle"}
    assert set(verdict.rows.values()) == {0}
    assert strike_of(verdict) == "none"
    assert same_bits(select(state.model, ["fusion"]), select(alone.model, ["fusion"]))
    assert all("ash" not in by_site for by_site in played.federation.strategy.outcome.weights.values())  # type: ignore[union-attr]


# --- claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", CLAIM_FAULTS, ids=lambda fault: fault.name)
def test_U53_a_bad_claim_is_dropped_and_the_update_used(played: Round, fault: Fault) -> None:
    silent = Fault("", "", lambda p: [p.report.pop(k) for k in list(p.report) if k.startswith(("value.", "share."))])
    expected = played.commit((played.honest | {"ash": played.broken("ash", silent)}).values())
    state = played.commit((played.honest | {"ash": played.broken("ash", fault)}).values())
    verdict = played.verdicts()["ash"]
    assert isinstance(verdict, Accepted)
    assert verdict.tally is None
    assert [note.reason for note in verdict.notes] == ["claim"]
    assert same_bits(state.model, expected.model)
    assert not same_bits(state.model, played.alone("ash").model)


# --- the gate itself ------------------------------------------------------------------------------


def test_U58_an_exception_inside_the_gate_is_a_verdict(played: Round, monkeypatch: pytest.MonkeyPatch) -> None:
    first = next(iter(played.honest))
    expected = played.alone(first)
    original = judge_module.read_update
    calls = itertools.count()

    def fails_once(*given: Any) -> Any:
        if next(calls) == 0:
            raise ZeroDivisionError("patient 4711")
        return original(*given)

    monkeypatch.setattr(judge_module, "read_update", fails_once)
    state = played.commit(played.honest.values())
    verdict = played.verdicts()[first]
    assert isinstance(verdict, Refused)
    assert verdict.reason == "internal"
    assert "ZeroDivisionError" in verdict.detail
    assert "4711" not in verdict.detail
    assert strike_of(verdict) == "content"
    assert same_bits(state.model, expected.model)
