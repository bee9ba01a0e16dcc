"""FedMCE's Flower strategy: each site gets and returns only the components that it can use.

The hooks are those of ``flwr.serverapp.strategy.Strategy`` and also work under Flower's own ``start``;
our round loop calls them so that deadlines, verdicts and the record stay in our hands.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from fedmce.config.schema import RunConfig
from fedmce.contributions import Tally
from fedmce.errors import ConfigError
from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message, MetricRecord, array_record, arrays_of
from fedmce.metrics import update_sizes
from fedmce.models import NetworkSpec, State, Statistics
from fedmce.personal import sits_out
from server.aggregate import aggregate
from server.gate import Accepted, Refused, RoundGate, Sent, Stray, bytes_by_component, content_bytes
from server.insight import Insight, read_contributions
from server.letters import Letters, Task
from server.roster import Roster
from server.state import GlobalState
from server.trust import Claims

Referee = Callable[[State, tuple[str, ...], int], Tally]


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
        update_sizes: per accepted site and component, how far an average entry moved in local training.
        personal: what is known of states per site; empty with ``rule=mean``.
        claims: what the sites' claims became; empty where weights rest on rows alone.
        robust: what the robust rule did, per component.
        strays: replies that answer nothing that was asked, and second ones.
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
    update_sizes: dict[str, dict[str, float]] = field(default_factory=dict)
    claims: Claims = field(default_factory=dict)
    robust: dict[str, Any] = field(default_factory=dict)
    strays: tuple[Stray, ...] = ()

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
        self._letters = Letters(config, spec, roster, statistics)
        self._sent: list[Sent] = []
        self._gate = RoundGate(())
        self._committed: ArrayRecord | None = None
        self.asked: tuple[str, ...] | None = None  # by the round loop; None = every site of the roster
        self.ttl_s: float | None = None  # how long a message is worth answering; None = Flower's default
        self.audit_head = ""  # newest durable line of the audit log, for the sites' ledgers; empty = not told
        self.budget_s: float | None = None  # within which a site must have answered; None = it may take its time

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
        if len(accepted) < self.config.exchange.fewest(len(outcome.verdicts)):
            self.state = replace(self.state, round=self.state.round + 1)
            self.outcome = replace(outcome, void=True)
            return None, None
        # Without a single usable claim weights rest on rows.
        insight = outcome.insight or read_contributions({}, self.roster, self.config.aggregation, self.state.quality)
        sizes = {
            s: update_sizes(self.state.model | self.state.personal.get(s, {}), r.update) for s, r in accepted.items()
        }
        step = aggregate(self.state, accepted, self.roster, self.config, insight)
        self.state = step.state
        self.outcome = replace(
            outcome,
            weights=step.weights,
            personal=step.personal,
            update_sizes=sizes,
            claims=step.claims,
            robust=step.robust,
        )
        self._committed = array_record(self.state.model)
        return self._committed, MetricRecord({"accepted": len(accepted)})

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Message]) -> MetricRecord | None:
        """Judge replies that only score; the model is left alone."""
        self.outcome = self._judge(replies)
        return MetricRecord({"accepted": len(self.outcome.accepted)})

    def summary(self) -> None:
        """Nothing: the record of the run says it all."""

    def enrol(self, roster: Roster) -> None:
        """Go on with this roster: sites have joined or come back under another node."""
        self.roster = roster
        self._letters.enrol(roster)

    def take(self, reply: Message) -> bool:
        """Judge one reply as it arrives and keep what of it may be used; True if it was accepted.

        The message itself need not be kept by anybody.
        """
        _, verdict = self._gate.judge(reply)
        return isinstance(verdict, Accepted)

    def _messages(self, server_round: int, arrays: ArrayRecord, task: Task) -> list[Message]:
        model = self.state.model if arrays is self._committed else arrays_of(arrays)  # decode what is not ours
        asked = [
            site
            for site in (self.roster.profiles if self.asked is None else self.asked)
            if task != "train" or not sits_out(self.config, server_round, len(self.roster.modalities(site)))
        ]
        state = replace(self.state, model=model)
        self._letters.ask(asked)
        self._letters.audit_head = self.audit_head
        write, times = self._letters.write, (self.ttl_s, self.budget_s)
        self._sent = [write(task, site, server_round, state, arrays, *times) for site in asked]
        self._gate = self._open_gate()
        return [sent.message for sent in self._sent]

    def _tally(self, site: str, reply: Accepted) -> Tally | None:
        """What a site measured, or what the server's own rows say of the components that it returned."""
        if self._referee is None:
            return reply.tally
        return self._referee(self.state.model | reply.update, self.roster.modalities(site), self.state.round)

    def _judge(self, replies: Iterable[Message]) -> RoundOutcome:
        for reply in replies:  # Flower's own loop hands all over at once; ours has let them in one by one
            self.take(reply)
        arrived, strays = self._gate.arrived(), tuple(self._gate.strays)
        self._gate = self._open_gate()  # what came belongs to this outcome alone
        verdicts = {site: came.verdict for site, came in arrived.items()}
        sent = {one.expected.site: one.message.content for one in self._sent}
        accepted = {site: v for site, v in sorted(verdicts.items()) if isinstance(v, Accepted)}
        tallies = {site: tally for site, reply in accepted.items() if (tally := self._tally(site, reply)) is not None}
        told, by_site = self.config.aggregation, self._referee is None
        cells = {site: reply.cells for site, reply in accepted.items() if reply.cells}
        insight = (
            read_contributions(tallies, self.roster, told, self.state.quality, is_claim=by_site, cells=cells)
            if tallies
            else None
        )
        return RoundOutcome(
            verdicts=verdicts,
            insight=insight,
            weights={},
            bytes_down={site: content_bytes(content) for site, content in sent.items()},
            bytes_up={site: came.bytes for site, came in arrived.items()},
            down_by_component={site: bytes_by_component(content) for site, content in sent.items()},
            up_by_component={site: dict(came.by_component) for site, came in arrived.items()},
            void=False,
            strays=strays,
        )

    def _open_gate(self) -> RoundGate:
        return RoundGate(self._sent, refuse_copies=self.config.exchange.refuse_copies)
