"""The round loop: send, collect, judge, aggregate, commit, score, record; then the next round."""

from __future__ import annotations

import time
from typing import Any, Protocol

from flwr.serverapp import Grid

from fedmce.flower_compat import ArrayRecord, ConfigRecord, array_record
from fedmce.metrics import completed_summary, split_completed, summary
from fedmce.models import State
from fedmce.record import RecordWriter
from server.exchange import exchange
from server.gate import Accepted
from server.strategy import ComponentStrategy, RoundOutcome


class Scorer(Protocol):
    """Scores a model on test rows that the server holds."""

    def __call__(self, state: State, last: bool = False) -> dict[str, Any]:
        """Fields of the ``evaluation`` event; more of them for the last one."""
        ...


def run_rounds(
    grid: Grid, strategy: ComponentStrategy, record: RecordWriter, score: Scorer | None, metric: str
) -> None:
    """Run all rounds that are left and the final scoring.

    Args:
        grid: Flower's grid.
        strategy: holds the committed state.
        record: where every round becomes a row.
        score: scores a model on test rows that the server holds; None if it holds none.
        metric: the task's primary metric.
    """
    config = strategy.config
    arrays = array_record(strategy.state.model)
    if score is not None and strategy.state.round == 0:
        record.write("evaluation", round=0, **score(strategy.state.model))
    for number in range(strategy.state.round + 1, config.rounds + 1):
        began = time.perf_counter()
        arrays, handling_s = _train_round(grid, strategy, number, arrays)
        outcome = _outcome(strategy)
        fields: dict[str, Any] | None = None
        if score is not None and (number % config.evaluate_every == 0 or number == config.rounds):
            fields = score(strategy.state.model, last=number == config.rounds)
        timing = {"aggregate_s": handling_s} | _site_seconds(outcome)
        timing["evaluate_s"] += fields["seconds"] if fields else 0.0
        timing["total_s"] = time.perf_counter() - began
        beside = {"personal": outcome.personal} if outcome.personal else {}
        record.write("round", round=number, void=outcome.void, **round_fields(outcome), **beside, timing=timing)
        _record_site_scores(record, outcome, strategy, number - 1, metric)
        if fields is not None:
            record.write("evaluation", round=number, **fields)
        if config.is_personal and (number % config.evaluate_every == 0 or number == config.rounds):
            _test_at_sites(grid, strategy, number, arrays, record, metric)
    _final_scoring(grid, strategy, arrays, record, metric)


def _train_round(
    grid: Grid, strategy: ComponentStrategy, number: int, arrays: ArrayRecord
) -> tuple[ArrayRecord, float]:
    """One round of messages; the arrays to go on with, and the seconds that the server itself worked."""
    began = time.perf_counter()
    messages = strategy.configure_train(number, arrays, ConfigRecord(), grid)
    sent = time.perf_counter()
    replies = exchange(grid, messages, strategy.config.exchange.deadline_s)
    came = time.perf_counter()
    fresh, _ = strategy.aggregate_train(number, replies)
    handling_s = sent - began + time.perf_counter() - came
    return (arrays if fresh is None else fresh), handling_s


def _final_scoring(
    grid: Grid, strategy: ComponentStrategy, arrays: ArrayRecord, record: RecordWriter, metric: str
) -> None:
    """The sites score the last model: their word on it comes one message after the training of it."""
    rounds = strategy.config.rounds
    messages = strategy.configure_evaluate(rounds, arrays, ConfigRecord(), grid)
    strategy.aggregate_evaluate(rounds, exchange(grid, messages, strategy.config.exchange.deadline_s))
    outcome = _outcome(strategy)
    record.write("scoring", round=rounds, sites=round_fields(outcome)["sites"])
    _record_site_scores(record, outcome, strategy, rounds, metric)


def _test_at_sites(
    grid: Grid, strategy: ComponentStrategy, number: int, arrays: ArrayRecord, record: RecordWriter, metric: str
) -> None:
    """Each site scores test rows with the model that it ends with: what is personal cannot be scored elsewhere."""
    began = time.perf_counter()
    messages = strategy.configure_test(number, arrays)
    strategy.aggregate_evaluate(number, exchange(grid, messages, strategy.config.exchange.deadline_s))
    cells = {site: reply.cells for site, reply in _outcome(strategy).accepted.items() if reply.cells}
    fields = summary(cells, metric, strategy.roster.names)
    nothing: dict[str, Any] = {"contributions": {}, "contributions_se": {}, "interactions": {}}
    seconds = time.perf_counter() - began
    record.write("evaluation", round=number, split="test", where="sites", **fields, **nothing, seconds=seconds)


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
    insight = outcome.insight
    return {
        "sites": sites,
        "weights": outcome.weights,
        "contributions": insight.contributions if insight else {},
        "contributions_se": insight.standard_errors if insight else {},
        "contributions_by_site": insight.by_site if insight else {},
        "contributions_by_site_se": insight.standard_errors_by_site if insight else {},
        "quality": insight.quality if insight else {},
    }


def _site_seconds(outcome: RoundOutcome) -> dict[str, float]:
    replies = outcome.accepted.values()
    return {key: sum(reply.seconds[key] for reply in replies) for key in ("train_s", "evaluate_s")}


def _outcome(strategy: ComponentStrategy) -> RoundOutcome:
    assert strategy.outcome is not None, "the strategy's hooks were not called"
    return strategy.outcome
