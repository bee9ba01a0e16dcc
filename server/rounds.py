"""The round loop: plan, send, collect, judge, aggregate, commit, score, record; then the next round."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any, Protocol

from flwr.serverapp import Grid

from fedmce.config.schema import ExchangeConfig
from fedmce.errors import StoppedError
from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message, array_record, connected
from fedmce.metrics import completed_summary, split_completed, summary
from fedmce.models import State
from fedmce.record import RecordWriter
from fedmce.training import nothing_scored
from fedmce.wire import budget
from server.attendance import Attendance, Conduct
from server.committed.keeper import Keeper
from server.committed.kill import kill_point
from server.detail import evaluation_fields
from server.exchange import Clock, Wait, Waited, collect
from server.gate import Accepted, Refused, Strike, strike_of
from server.operator_word import Told, Words
from server.probes import Probes
from server.profile_round import Register
from server.strategy import ComponentStrategy, RoundOutcome
from server.trust import claim_rows

LEAST_AUTO_S, AUTO_FACTOR, AUTO_ROUNDS = 60.0, 3.0, 5


class Scorer(Protocol):
    """Scores a model on test rows that the server holds."""

    def __call__(self, state: State, last: bool = False) -> dict[str, Any]:
        """Fields of the ``evaluation`` event; more of them for the last one."""
        ...


@dataclass(frozen=True)
class Progress:
    """What the loop itself remembers from round to round; part of the committed state.

    Attributes:
        attendance: what is held against sites.
        durations: seconds that the last good rounds waited, for ``exchange.deadline=auto``.
        voids: void rounds in a row.
        left_out: granted components that a site left out of its last reply; twice running is a strike.
    """

    attendance: Attendance = field(default_factory=Attendance)
    durations: tuple[float, ...] = ()
    voids: int = 0
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def deadline(self, config: ExchangeConfig) -> float:
        """Seconds that the next round may wait: the median, so that one odd round changes little."""
        if config.deadline == "fixed" or not self.durations:
            return config.deadline_s
        return min(max(AUTO_FACTOR * median(self.durations), LEAST_AUTO_S), config.deadline_s)

    def after(
        self,
        number: int,
        conduct: dict[str, Conduct],
        seconds: float,
        void: bool,
        left_out: Mapping[str, Collection[str]] | None = None,
    ) -> Progress:
        """The same after a round; ``left_out`` are components that accepted replies did not hold."""
        durations = self.durations if void else (*self.durations, seconds)[-AUTO_ROUNDS:]
        told = self.left_out | {site: tuple(sorted(names)) for site, names in (left_out or {}).items()}
        fresh = {site: names for site, names in told.items() if names}
        return Progress(self.attendance.after(number, conduct), durations, self.voids + 1 if void else 0, fresh)

    def to_json(self) -> dict[str, Any]:
        """For the committed state."""
        left_out = {site: list(names) for site, names in sorted(self.left_out.items())}
        beside = {"durations": list(self.durations), "voids": self.voids, "left_out": left_out}
        return {"attendance": self.attendance.to_json(), **beside}

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> Progress:
        """Inverse of :meth:`to_json`."""
        durations = tuple(float(seconds) for seconds in tree["durations"])
        left_out = {site: tuple(names) for site, names in tree.get("left_out", {}).items()}
        return cls(Attendance.from_json(tree["attendance"]), durations, int(tree["voids"]), left_out)

    @classmethod
    def resumed(cls, tree: dict[str, Any], config: ExchangeConfig) -> Progress:
        """What a resumed run goes on with: one that stopped for void rounds may try as many again."""
        found = cls.from_json(tree)
        return replace(found, voids=0) if found.voids >= config.void_limit else found


class RoundLoop:
    """Runs all rounds that are left and the final scoring.

    Args:
        grid: Flower's grid.
        strategy: holds the committed state.
        record: where every round becomes a row.
        score: scores a model on test rows that the server holds; None if it holds none.
        metric: the task's primary metric.
        register: takes in sites that join late, and knows who is connected; None in a simulation, where everybody is.
        progress: what an earlier part of the run left.
        clock: for tests.
        keeper: commits every round to the disk.
        words: of the operator.
    """

    def __init__(
        self,
        grid: Grid,
        strategy: ComponentStrategy,
        record: RecordWriter,
        score: Scorer | None,
        metric: str,
        register: Register | None = None,
        progress: Progress | None = None,
        clock: Clock = time,
        keeper: Keeper | None = None,
        words: Words | None = None,
    ) -> None:
        self._grid, self._strategy, self._record, self._score = grid, strategy, record, score
        self._keeper, self._reply_bytes = keeper or Keeper(), 0
        self._metric, self._register, self._clock = metric, register, clock
        self.progress = progress or Progress(Attendance(strategy.config.seed))
        self._probes, self._words, self._told = Probes(grid, clock), words or Words(), list[Told]()
        self._joined, self._turned_away = list[str](), list[str]()  # since the last round
        self._began, self._commit_s = clock.monotonic(), 0.0

    def run(self) -> None:
        """Every round from the committed one on.

        Raises:
            StoppedError: too many void rounds in a row, or the time of the run is up; what is committed stays.
        """
        strategy, config = self._strategy, self._strategy.config
        arrays = array_record(strategy.state.model)
        if self._score is not None and strategy.state.round == 0:
            self._record.write("evaluation", round=0, **self._score(strategy.state.model))
        for number in range(strategy.state.round + 1, config.rounds + 1):
            arrays = self._round(number, arrays)
            if self.progress.voids >= config.exchange.void_limit:
                raise StoppedError(
                    f"{self.progress.voids} void rounds in a row (exchange.void_limit): too few sites answer. the record "
                    "says who was asked and what came; mend it and resume the run"
                )
        self._final_scoring(arrays)

    def _round(self, number: int, arrays: ArrayRecord) -> ArrayRecord:
        strategy, config, began = self._strategy, self._strategy.config, time.perf_counter()
        self._hear_operator()
        self._welcome()
        asked = self._whom_to_ask(number)
        waited, arrays, handling_s = self._train(number, asked, arrays)
        outcome = _outcome(strategy)
        conduct = conduct_of(outcome, waited, self.progress.left_out)
        left_out = {site: reply.left_out for site, reply in outcome.accepted.items()}
        self.progress = self.progress.after(number, conduct, waited.seconds, outcome.void, left_out)
        self._probe()
        fields: dict[str, Any] | None = None
        is_scored = number % config.evaluate_every == 0 or number == config.rounds
        if self._score is not None and is_scored:
            fields = self._score(strategy.state.model, last=number == config.rounds)
        timing: dict[str, Any] = {"aggregate_s": handling_s, "wait_s": waited.seconds} | _site_seconds(outcome)
        timing |= {"push_s": waited.push_s, "pull_s": waited.pull_s, "commit_s": self._commit_s}
        timing["answered_s"] = {
            site: waited.answered[n] for n, site in enumerate(outcome.bytes_down) if n in waited.answered
        }
        timing["evaluate_s"] += fields["seconds"] if fields else 0.0
        timing["total_s"] = time.perf_counter() - began
        beside: dict[str, Any] = {"personal": outcome.personal} if outcome.personal else {}
        beside |= self._attendance_fields(number, asked)
        if self._told:
            beside["operator"] = [asdict(told) for told in self._told]
        if self._turned_away:
            beside["turned_away"] = list(self._turned_away)
        self._record.write("round", round=number, void=outcome.void, **round_fields(outcome), **beside, timing=timing)
        _record_site_scores(self._record, outcome, strategy, number - 1, self._metric)
        if fields is not None:
            self._record.write("evaluation", round=number, **fields)
        if self._score is None and is_scored:
            self._test_at_sites(number, arrays)
        self._reply_bytes = sum(outcome.bytes_up.values())
        updates = {site: reply.update for site, reply in outcome.accepted.items()}
        recorded = time.perf_counter()
        self._keeper.after_round(strategy.state, strategy.roster, self.progress.to_json(), updates)
        self._commit_s = time.perf_counter() - recorded
        self._words.done()
        for news in (self._told, self._joined, self._turned_away):
            news.clear()
        return arrays

    def _train(self, number: int, asked: tuple[str, ...], arrays: ArrayRecord) -> tuple[Waited, ArrayRecord, float]:
        """One round of messages; how it was waited for, the arrays to go on with, seconds that the server worked."""
        strategy = self._strategy
        began = time.perf_counter()
        wait = self._wait(asked)
        strategy.asked, strategy.ttl_s = asked, wait.deadline_s + wait.grace_s
        strategy.budget_s = budget(wait.deadline_s)
        self._keeper.before_round(number, asked, self._reply_bytes)
        strategy.audit_head = self._keeper.audit_head if self._register is not None else ""
        messages = strategy.configure_train(number, arrays, ConfigRecord(), self._grid)
        kill_point("K0", number)
        sent = time.perf_counter()
        waited = collect(self._grid, messages, wait, strategy.take, self._clock)
        kill_point("K1", number)
        came = time.perf_counter()
        fresh, _ = strategy.aggregate_train(number, ())
        kill_point("K2", number)
        handling_s = sent - began + time.perf_counter() - came
        return waited, (arrays if fresh is None else fresh), handling_s

    def _wait(self, asked: tuple[str, ...]) -> Wait:
        config = self._strategy.config.exchange
        deadline = self.progress.deadline(config)
        if config.run_budget_s is not None:
            left = config.run_budget_s - (self._clock.monotonic() - self._began)
            if left <= 0:
                raise StoppedError(
                    f"exchange.run_budget_s={config.run_budget_s:g} is used up after {self._strategy.state.round} rounds. "
                    "resume the run with a larger one"
                )
            deadline = min(deadline, left)
        goal = min(config.goal, len(asked)) if config.goal is not None else None
        return Wait(deadline, goal, min(config.grace, deadline), config.poll_s)

    def _online(self) -> tuple[str, ...]:
        profiles = self._strategy.roster.profiles
        if self._register is None:
            return tuple(profiles)
        there = connected(self._grid)
        return tuple(site for site, profile in profiles.items() if profile.node_id in there)

    def _whom_to_ask(self, number: int) -> tuple[str, ...]:
        """Sites for this round; where too few may be asked, wait a while for some to come or to show that they live."""
        config = self._strategy.config.exchange
        end = self._clock.monotonic() + (config.wait_sites_s if self._register is not None else 0.0)
        least = self._strategy.config.privacy.min_asked  # fewer would refuse, and be taken for failing
        while True:
            self._hear_probes()
            self._hear_operator()
            asked = self.progress.attendance.ask(number, self._online(), config)
            if len(asked) >= max(config.fewest(len(asked)), least) or self._clock.monotonic() >= end:
                return asked if len(asked) >= least else ()
            self._welcome()
            self._clock.sleep(config.poll_s)

    def _welcome(self) -> None:
        """Take in nodes that have connected since."""
        if self._register is None or not (nodes := self._register.newcomers()):
            return
        deadline = min(self._strategy.config.exchange.deadline_s, LEAST_AUTO_S)
        found = self._register.introduce(nodes, deadline)
        if found.profiles:
            profiles = self._strategy.roster.profiles | {s: p for s, p in found.profiles.items() if p.rows > 0}
            self._strategy.enrol(replace(self._strategy.roster, profiles=dict(sorted(profiles.items()))))
        self._joined += sorted(found.profiles)
        self._turned_away += sorted(found.refused.values())

    def _hear_probes(self) -> None:
        attendance = self.progress.attendance
        for site in self._probes.answered():
            attendance = attendance.answered_probe(site)
        self.progress = replace(self.progress, attendance=attendance)

    def _hear_operator(self) -> None:
        for told in self._words.hear():
            self._told.append(told)
            attendance = self.progress.attendance
            if told.word == "readmit" and self._register is not None:
                self._register.readmit(told.site)
            attendance = attendance.readmitted(told.site) if told.word == "readmit" else attendance.revoked(told.site)
            self.progress = replace(self.progress, attendance=attendance)

    def _probe(self) -> None:
        self._hear_probes()  # what came during the round, before anybody is asked again
        suspects = self.progress.attendance.suspects
        self._probes.send({s: self._strategy.roster.profiles[s].node_id for s in suspects if s in self._online()})

    def _attendance_fields(self, number: int, asked: tuple[str, ...]) -> dict[str, Any]:
        standing, roster = self.progress.attendance, self._strategy.roster.profiles
        absent = [site for site in roster if site not in asked]
        return {
            "asked": list(asked),
            "joined": list(self._joined),
            "benched": {s: standing.of(s).bench_until for s in absent if standing.of(s).bench_until >= number},
            "suspect": list(standing.suspects),
            "expelled": [site for site in roster if standing.of(site).expelled],
        }

    def _final_scoring(self, arrays: ArrayRecord) -> None:
        """The sites score the last model: their word on it comes one message after the training of it."""
        rounds = self._strategy.config.rounds
        self._ask_all(lambda: self._strategy.configure_evaluate(rounds, arrays, ConfigRecord(), self._grid), rounds)
        outcome = _outcome(self._strategy)
        self._record.write("scoring", round=rounds, sites=round_fields(outcome)["sites"])
        _record_site_scores(self._record, outcome, self._strategy, rounds, self._metric)

    def _test_at_sites(self, number: int, arrays: ArrayRecord) -> None:
        """Each site scores test rows with the model that it ends with: what is personal cannot be scored elsewhere.

        Of the global model, where only sites hold test rows, they tell all that the server needs for the same fields.
        """
        began = time.perf_counter()
        self._ask_all(lambda: self._strategy.configure_test(number, arrays), number)
        fields = test_fields(_outcome(self._strategy), self._strategy, self._metric, number)
        seconds = time.perf_counter() - began
        self._record.write("evaluation", round=number, split="test", where="sites", **fields, seconds=seconds)

    def _ask_all(self, write: Callable[[], list[Message]], number: int) -> None:
        """Every site that is there and not expelled says something of a model; its silence voids nothing."""
        attendance = self.progress.attendance
        there = tuple(s for s in self._online() if not attendance.of(s).expelled)
        self._strategy.asked = there if len(there) >= self._strategy.config.privacy.min_asked else ()
        wait = self._wait(self._strategy.asked)
        self._strategy.ttl_s, self._strategy.budget_s = wait.deadline_s, budget(wait.deadline_s)
        collect(self._grid, write(), replace(wait, goal=None), self._strategy.take, self._clock)
        self._strategy.aggregate_evaluate(number, ())


def conduct_of(
    outcome: RoundOutcome, waited: Waited, left_out: Mapping[str, Collection[str]] | None = None
) -> dict[str, Conduct]:
    """What each asked site did, for its standing.

    Args:
        outcome: of the round.
        waited: whether the goal was met without those who are late.
        left_out: components that each site left out of its last reply.
    """
    before, found = left_out or {}, dict[str, Conduct]()
    of_strike: dict[Strike, Conduct] = {"none": "surplus", "liveness": "failed", "content": "content"}
    for site, verdict in outcome.verdicts.items():
        told = strike_of(verdict, frozenset(before.get(site, ())))
        found[site] = of_strike[told]
        if isinstance(verdict, Refused) and verdict.reason == "late":
            found[site] = "surplus" if waited.met else "late"
        elif isinstance(verdict, Accepted) and told == "none":
            found[site] = "good"
    return found


def test_fields(outcome: RoundOutcome, strategy: ComponentStrategy, metric: str, number: int) -> dict[str, Any]:
    """Fields of the ``evaluation`` event from what sites told of test rows; of personal models scores alone."""
    config, spec, roster = strategy.config, strategy.spec, strategy.roster
    if config.is_personal:
        cells = {site: reply.cells for site, reply in outcome.accepted.items() if reply.cells}
        return summary(cells, metric, roster.names) | {"contributions": {}, "contributions_se": {}, "interactions": {}}
    parts = {site: reply.scored for site, reply in outcome.accepted.items() if reply.scored is not None}
    nobody = {"": nothing_scored(config, len(spec.names))} if not parts else {}
    return evaluation_fields(parts | nobody, spec, metric, roster.empty_value, last=number == config.rounds)


def _record_site_scores(
    record: RecordWriter, outcome: RoundOutcome, strategy: ComponentStrategy, number: int, metric: str
) -> None:
    if outcome.insight is None:
        return
    cells = {site: split_completed(reply.cells) for site, reply in outcome.accepted.items() if reply.cells}
    fields = summary({site: plain for site, (plain, _) in cells.items()}, metric, strategy.roster.names)
    if (use := strategy.spec.use_completion) != "off":
        apart = {site: found for site, (_, found) in cells.items()}
        fields["completed"] = completed_summary(apart, metric, strategy.roster.names, use)
    fields["contributions"] = outcome.insight.contributions
    fields["contributions_se"] = outcome.insight.standard_errors
    record.write("evaluation", round=number, split="validation", where="sites", **fields)


def round_fields(outcome: RoundOutcome) -> dict[str, Any]:
    """Fields of the ``round`` event (docs/record.md)."""
    sites = {}
    for site, verdict in sorted(outcome.verdicts.items()):
        reply = verdict if isinstance(verdict, Accepted) else None
        sites[site] = {
            "verdict": "accepted" if isinstance(verdict, Accepted) else verdict.reason,
            "detail": "" if isinstance(verdict, Accepted) else verdict.detail,
            "bytes_down": outcome.bytes_down[site],
            "bytes_up": outcome.bytes_up[site],
            "bytes_down_by_component": outcome.down_by_component[site],
            "bytes_up_by_component": outcome.up_by_component[site],
            "train_s": reply.seconds["train_s"] if reply else 0.0,
            "evaluate_s": reply.seconds["evaluate_s"] if reply else 0.0,
            "losses": reply.losses if reply else {},
            "update_size": outcome.update_sizes.get(site, {}),
        }
        if reply is not None and reply.notes:
            sites[site]["notes"] = [asdict(note) for note in reply.notes]
    insight = outcome.insight
    strays = [{"site": stray.site, **asdict(stray.refused)} for stray in outcome.strays]
    return {
        "sites": sites,
        "weights": outcome.weights,
        "contributions": insight.contributions if insight else {},
        "contributions_se": insight.standard_errors if insight else {},
        "contributions_by_site": insight.by_site if insight else {},
        "contributions_by_site_se": insight.standard_errors_by_site if insight else {},
        "quality": insight.quality if insight else {},
        "claims": claim_rows(outcome.claims),
    } | {name: value for name, value in (("robust", outcome.robust), ("strays", strays)) if value}


def _site_seconds(outcome: RoundOutcome) -> dict[str, float]:
    replies = outcome.accepted.values()
    return {key: sum(reply.seconds[key] for reply in replies) for key in ("train_s", "evaluate_s")}


def _outcome(strategy: ComponentStrategy) -> RoundOutcome:
    assert strategy.outcome is not None, "the strategy's hooks were not called"
    return strategy.outcome
