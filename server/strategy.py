"""FedMCE's Flower strategy: each site gets and returns only the components that it can use.

The hooks are those of ``flwr.serverapp.strategy.Strategy`` and also work under Flower's own ``start``;
our round loop calls them so that deadlines, verdicts and the record stay in our hands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fedmce.config.schema import RunConfig
from fedmce.contributions import Tally
from fedmce.errors import ConfigError
from fedmce.flower_compat import (
    ArrayRecord,
    ConfigRecord,
    Message,
    MetricRecord,
    RecordDict,
    array_record,
    arrays_of,
    encode,
    payload_bytes,
)
from fedmce.metrics import COMPLETED
from fedmce.models import MultimodalNet, NetworkSpec, State, Statistics, component_of, components, private_keys
from fedmce.objectives import SHARED as SHARED_RULES
from fedmce.personal import kept_down, kept_up, sits_out
from fedmce.wire import MODEL, ORDER, SHARED, STATISTICS, Order, digest, text_sha256
from server.aggregate import Insight, aggregate, read_contributions
from server.gate import Accepted, Expectation, Refused, gate
from server.personal import has_own
from server.roster import Roster
from server.state import GlobalState

Task = Literal["train", "score", "test"]
Referee = Callable[[State, tuple[str, ...], int], Tally]


@dataclass(frozen=True)
class Sent:
    """One message of a round and what it should bring back."""

    message: Message
    expected: Expectation


@dataclass(frozen=True)
class RoundOutcome:
    """What came of one round of messages.

    Attributes:
        verdicts: per asked site.
        insight: contributions of the model as received; None if nothing was accepted.
        weights: per component and site; empty in a void or scoring round.
        bytes_down: content bytes per site.
        bytes_up: content bytes per site.
        down_by_component: array bytes per site and component.
        up_by_component: array bytes per site and component.
        void: too few accepted replies; the model is as it was.
        personal: what is known of states per site; empty with ``rule=mean``.
    """

    verdicts: dict[str, Accepted | Refused]
    insight: Insight | None
    weights: dict[str, dict[str, float]]
    bytes_down: dict[str, int]
    bytes_up: dict[str, int]
    down_by_component: dict[str, dict[str, int]]
    up_by_component: dict[str, dict[str, int]]
    void: bool
    personal: dict[str, Any] = field(default_factory=dict)

    @property
    def accepted(self) -> dict[str, Accepted]:
        """The replies that may be used."""
        return {site: verdict for site, verdict in self.verdicts.items() if isinstance(verdict, Accepted)}


class ComponentStrategy(Strategy):
    """Component averaging over holders, weighted by contributions (method.md 4).

    Args:
        config: the checked configuration.
        spec: the whole network.
        roster: sites and what they hold.
        statistics: pooled mean and standard deviation per modality.
        state: the committed state to start from.
        referee: (model, modalities, round) -> tally of these modalities on rows at the server; needed with
            ``contributions.source=server`` and not used otherwise.
    """

    def __init__(
        self,
        config: RunConfig,
        spec: NetworkSpec,
        roster: Roster,
        statistics: dict[str, Statistics],
        state: GlobalState,
        referee: Referee | None = None,
    ) -> None:
        if (referee is None) == (config.contributions.source == "server"):
            raise ConfigError("contributions.source=server needs a referee with rows at the server, others need none")
        if config.aggregation.rule == "harmony" and all(len(roster.modalities(site)) < 2 for site in roster.profiles):
            raise ConfigError("aggregation.rule=harmony: no site holds two modalities, which stage 2 needs")
        self._referee = referee
        self.config, self.spec, self.roster, self.state = config, spec, roster, state
        self.outcome: RoundOutcome | None = None
        self._config_json = config.to_json()
        self._config_sha256 = text_sha256(self._config_json)
        scales = {f"{m}/{part}": getattr(s, part) for m, s in statistics.items() for part in ("mean", "std", "blank")}
        self._scales = array_record({name: value for name, value in scales.items() if value is not None})
        self._shared = SHARED_RULES.get(config.objective.name)
        self._private_keys: dict[tuple[str, ...], frozenset[str]] = {}
        self._sent: list[Sent] = []
        self._committed: ArrayRecord | None = None

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """One message per site: its components, to score and then to train."""
        return self._messages(server_round, arrays, "train")

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> list[Message]:
        """One message per site: its components, to score only."""
        return self._messages(server_round, arrays, "score")

    def configure_test(self, server_round: int, arrays: ArrayRecord) -> list[Message]:
        """One message per site: every component that is shared, to score test rows with the site's own model."""
        return self._messages(server_round, arrays, "test")

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Judge the replies, average what was accepted, commit; None for a void round."""
        outcome = self._judge(replies)
        accepted = outcome.accepted
        void = len(accepted) < self.config.aggregation.accept_min or outcome.insight is None
        if void:
            self.state = replace(self.state, round=self.state.round + 1)
            self.outcome = replace(outcome, void=True)
            return None, None
        assert outcome.insight is not None
        step = aggregate(self.state, accepted, self.roster, self.config, outcome.insight)
        self.state = step.state
        self.outcome = replace(outcome, weights=step.weights, personal=step.personal)
        self._committed = array_record(self.state.model)
        return self._committed, MetricRecord({"accepted": len(accepted)})

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Judge replies that only score; the model is left alone."""
        self.outcome = self._judge(replies)
        return MetricRecord({"accepted": len(self.outcome.accepted)})

    def summary(self) -> None:
        """Nothing: the record of the run says it all."""

    def _messages(self, server_round: int, arrays: ArrayRecord, task: Task) -> list[Message]:
        model = self.state.model if arrays is self._committed else arrays_of(arrays)  # decode what is not ours
        asked = [
            site
            for site in self.roster.profiles
            if task != "train" or not sits_out(self.config, server_round, len(self.roster.modalities(site)))
        ]
        self._sent = [self._message(site, server_round, arrays, model, task) for site in asked]
        return [sent.message for sent in self._sent]

    def _message(self, site: str, server_round: int, arrays: ArrayRecord, model: State, task: Task) -> Sent:
        whole = task == "test"  # whoever scores test rows reads every modality that it can
        granted = set(self.roster.components if whole else self.roster.granted(site))
        held = self.roster.names if whole else self.roster.modalities(site)
        own_there = not whole and has_own(self.state.shared, site)
        kept = self._private(kept_down(self.config, has_own=own_there))
        own = self.state.personal.get(site, {})
        part = {k: own.get(k, v) for k, v in model.items() if component_of(k) in granted and k not in kept}
        order = Order(
            round=server_round,
            train=task == "train",
            test=whole,
            site=site,
            config=self._config_json,
            modalities=held,
            base=digest(part),
            all_rows=self.roster.all_rows,
            all_rows_by_modality=self.roster.all_rows_by_modality,
        )
        records: dict[str, ArrayRecord | MetricRecord | ConfigRecord] = {
            MODEL: ArrayRecord({key: encode(own[key]) if key in own else arrays[key] for key in part}),
            STATISTICS: ArrayRecord({k: v for k, v in self._scales.items() if k.partition("/")[0] in held}),
            ORDER: ConfigRecord(order.to_record()),
        }
        if order.train and self._shared is not None:
            records[SHARED] = array_record(self._shared.down(self.state.shared, held))
        kind = "train" if order.train else "evaluate"
        message = Message(RecordDict(records), self.roster.profiles[site].node_id, kind, group_id=str(server_round))
        return Sent(message, self._expectation(order, part, model))

    def _private(self, kinds: tuple[str, ...]) -> frozenset[str]:
        if kinds not in self._private_keys:
            self._private_keys[kinds] = private_keys(MultimodalNet(self.spec), kinds) if kinds else frozenset()
        return self._private_keys[kinds]

    def _expectation(self, order: Order, part: State, model: State) -> Expectation:
        profile, contributions = self.roster.profiles[order.site], self.config.contributions
        asked = contributions.source != "server" and not order.test
        granted, kept = self.roster.granted(order.site), self._private(kept_up(self.config, order.round))
        shapes = {k: v.shape for k, v in model.items() if component_of(k) in granted and k not in kept}
        told = {}
        if order.train and self._shared is not None:
            told = self._shared.told(self.config.objective, self.spec, shapes)
        return Expectation(
            site=order.site,
            round=order.round,
            base=order.base,
            config_sha256=self._config_sha256,
            train=order.train,
            shapes=shapes,
            known=frozenset(model),
            most_rows={c: self.roster.rows_of(order.site, c) for c in components(shapes)},
            contributions=contributions if asked else None,
            measured=(profile.heldout or profile.train) if asked else None,
            magnitude_limit=self.config.aggregation.magnitude_limit,
            modalities=len(self.roster.names),
            most_scored=self._most_scored(profile.test_rows if order.test else profile.validation_rows),
            told=told,
        )

    def _most_scored(self, rows: int) -> dict[str, int]:
        """Largest count per metric: rows, and pairs of them for AUC."""
        classes = len(self.spec.classes)
        metrics = ["accuracy", *(f"recall:{number}" for number in range(classes))]
        most = dict.fromkeys(metrics, rows) | ({"auc": rows**2} if classes == 2 else {})
        if self.spec.use_completion != "off":
            most |= {COMPLETED + metric: count for metric, count in most.items()}
        return most

    def _tally(self, site: str, reply: Accepted) -> Tally | None:
        """What a site measured, or what the server's own rows say of the components that it returned."""
        if self._referee is None:
            return reply.tally
        return self._referee(self.state.model | reply.update, self.roster.modalities(site), self.state.round)

    def _judge(self, replies: Iterable[Message]) -> RoundOutcome:
        by_message = {reply.metadata.reply_to_message_id: reply for reply in replies}
        verdicts: dict[str, Accepted | Refused] = {}
        sizes: dict[str, dict[str, int]] = {"down": {}, "up": {}}
        parts: dict[str, dict[str, dict[str, int]]] = {"down": {}, "up": {}}
        for sent in self._sent:
            site, reply = sent.expected.site, by_message.get(sent.message.metadata.message_id)
            verdicts[site] = gate(reply, sent.expected)
            for way, message in (("down", sent.message), ("up", reply)):
                content = message.content if message is not None and message.has_content() else RecordDict()
                sizes[way][site] = payload_bytes(content)
                parts[way][site] = _bytes_by_component(content)
        accepted = {site: v for site, v in sorted(verdicts.items()) if isinstance(v, Accepted)}
        tallies = {site: tally for site, reply in accepted.items() if (tally := self._tally(site, reply)) is not None}
        insight = (
            read_contributions(tallies, self.roster, self.config.aggregation, self.state.quality) if tallies else None
        )
        return RoundOutcome(verdicts, insight, {}, sizes["down"], sizes["up"], parts["down"], parts["up"], void=False)


def _bytes_by_component(content: RecordDict) -> dict[str, int]:
    """Array bytes per component; statistics count for the component that needs them, the encoder."""
    found: dict[str, int] = {}
    for name, record in content.items():
        if not isinstance(record, ArrayRecord):
            continue
        for key, array in record.items():
            component = f"encoder.{component_of(key)}" if name == STATISTICS else component_of(key)
            found[component] = found.get(component, 0) + len(array.data)
    return found
