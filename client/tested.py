"""Test rows at a site, scored with the model that the site ends with.

That is a model of its own, or the global one where nobody but the site has its test rows; of the global one the site
tells everything that sums can tell, so that the server reports what a simulation would.
"""

from __future__ import annotations

import time
from dataclasses import replace

from client.facts import Start, site_facts
from client.keeping import Keeping
from client.measured import received_model, score_columns
from client.policy import Policy
from client.told import told_scores
from client.workplace import Workplace
from fedmce.models import MultimodalNet, State, Statistics, component_of, load_state, parameters_of
from fedmce.objectives import OBJECTIVES
from fedmce.privacy import told_cells, told_rows, told_seconds, told_tally
from fedmce.streams import generator
from fedmce.training import (
    DeviceRows,
    ScoredRows,
    learning_rate,
    measure,
    nothing_scored,
    predict_own,
    score_rows,
    train_locally,
    with_last,
)
from fedmce.training.scored_columns import scored_columns
from fedmce.wire import Number, Order

CLASSIFYING = ("head", "fusion")  # kinds of components that fine-tuning moves


def tested(
    place: Workplace,
    order: Order,
    model: State,
    statistics: dict[str, Statistics],
    keeping: Keeping,
    policy: Policy,
) -> dict[str, Number]:
    """Sums of the test rows; nothing that is learnt on the way is kept.

    Args:
        place: the site.
        order: names the last round that was trained.
        model: every component that the server gives.
        statistics: of all modalities.
        keeping: what the site has of its own.
        policy: what the site lets out.
    """
    began = time.perf_counter()
    whole, usable = keeping.as_it_ends(model, place, order.round)
    net = place.net(usable)
    net.use_blanks(statistics)
    load_state(net, whole)
    if not place.config.is_personal:
        last = order.round == place.config.rounds
        numbers = _of_global_model(place, net, statistics, policy, last=last)
        return numbers | {"evaluate_s": _seconds(place, policy, began)}
    if place.config.aggregation.finetune_epochs:
        _finetune(net, place, order, whole, statistics, keeping, policy)
    cells = predict_own(net, place.test_on_device(statistics), usable, place.prior).cells()
    return score_columns(told_cells(cells, policy.floors)) | {"evaluate_s": _seconds(place, policy, began)}


def _seconds(place: Workplace, policy: Policy, began: float) -> float:
    return told_seconds(time.perf_counter() - began, place.config.exchange.poll_s, policy.floors)


def _of_global_model(
    place: Workplace, net: MultimodalNet, statistics: dict[str, Statistics], policy: Policy, *, last: bool
) -> dict[str, Number]:
    """Sums as :class:`server.scoring.TestRows` makes them of rows at the server."""
    assert place.test is not None, "this site was not asked to keep test rows"
    rows = place.test_on_device(statistics) if place.test.rows else None
    scored = nothing_scored(place.config, len(place.names))
    if rows is not None:
        scored, _ = score_rows(net, rows, place.config, place.site)
    if last:
        seen = place.on_device(statistics)[1] if place.validation.rows else None
        scored = with_last(scored, net, rows, seen)
    if not policy.floors.is_open:
        scored = _as_told(scored, place, net, rows, policy)
    return score_columns(scored.cells) | scored_columns(scored, place.names)


def _as_told(
    scored: ScoredRows, place: Workplace, net: MultimodalNet, rows: DeviceRows | None, policy: Policy
) -> ScoredRows:
    """The sums with the site's floors; contributions anew, of the rows whose pattern may be told."""
    tally = scored.tally
    if rows is not None and policy.test is not None:
        stream = generator(place.config.seed, "contributions", "test", place.site)
        kept = told_rows(rows.observed.available, policy.test)
        tally = told_tally(measure(net, rows, place.config.contributions, stream, kept)[1], policy.test, policy.floors)
    return told_scores(replace(scored, tally=tally), policy.floors)


def _finetune(
    net: MultimodalNet,
    place: Workplace,
    order: Order,
    start: State,
    statistics: dict[str, Statistics],
    keeping: Keeping,
    policy: Policy,
) -> None:
    """Train heads and fusion on the site's training rows; encoders, projections and completion stay to the bit."""
    config = place.config
    train, _ = place.on_device(statistics)
    received, _ = received_model(place, order, net, train, statistics, policy)
    lr = learning_rate(config.training, config.rounds, config.rounds)
    facts = site_facts(place, order, train, received, keeping, Start(start, {}, lr))
    # Not only gradients set aside: an optimiser with momentum or decay moves what has a gradient of zero.
    for key, parameter in parameters_of(net).items():
        parameter.requires_grad_(component_of(key).partition(".")[0] in CLASSIFYING)
    train_locally(
        net,
        place.rows_to_train(statistics),
        OBJECTIVES[config.objective.name](
            config.objective, facts, generator(config.seed, "finetune objective", place.site)
        ),
        config.training.model_copy(update={"local_epochs": config.aggregation.finetune_epochs}),
        lr=lr,
        order=generator(config.seed, "finetune order", place.site),
    )
    net.requires_grad_(True)
