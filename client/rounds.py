"""One round at a site: score the model as received, fill the value table, train, answer once."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from client.facts import Start, site_facts
from client.keeping import Keeping
from client.measured import received_model, score_columns
from client.policy import Policy, check_grant, policy_of
from client.released import Release, release
from client.tested import tested
from client.workplace import Workplace
from fedmce.flower_compat import RecordDict
from fedmce.metrics import completed
from fedmce.models import State, Statistics, component_of, components, load_state, state_of, trained_rows
from fedmce.objectives import OBJECTIVES, SHARED
from fedmce.objectives.objective import Arrays
from fedmce.privacy import told_cells, told_losses, told_seconds
from fedmce.streams import generator
from fedmce.training import DeviceRows, learning_rate, left_of, predict_subsets, train_locally
from fedmce.wire import Number, Order


@dataclass(frozen=True)
class Answer:
    """What a site says: numbers, trained components, arrays that its objective shares; and what was held back."""

    numbers: dict[str, Number]
    trained: State
    told: Arrays
    release: Release | None = None


def answer(
    place: Workplace,
    order: Order,
    model: State,
    statistics: dict[str, Statistics],
    memory: RecordDict,
    shared: Arrays | None = None,
    policy: Policy | None = None,
) -> Answer:
    """Evaluate the received components, then train them if asked.

    Args:
        place: the site.
        order: what the server asks.
        model: the components that the site was given.
        statistics: mean and standard deviation of their modalities.
        memory: what the node keeps from round to round, at the site alone.
        shared: what the objective shares beside the model.
        policy: what the site lets out; default that of the plan alone.

    Returns:
        Numbers for the report, and the trained components (empty if the order was to score only).

    Raises:
        PlanRefusedError: the order goes beyond what the site has told of itself.
    """
    keeping, policy = Keeping(memory), policy or policy_of(place)
    check_grant(order, policy, place)
    if order.test:
        return Answer(tested(place, order, model, statistics, keeping, policy), {}, {})
    train, validation = place.on_device(statistics)
    net = place.net(order.modalities)
    net.use_blanks(statistics)
    whole = keeping.with_private(model, place, order.modalities, order.round)
    load_state(net, whole)

    began = time.perf_counter()
    received, numbers = received_model(place, order, net, train, statistics, policy)
    cells = predict_subsets(net, validation).cells()
    if (use := place.spec.use_completion) != "off":
        cells |= completed(predict_subsets(net, validation, use).cells())
    numbers |= score_columns(told_cells(cells, policy.floors))
    if not order.train:
        return Answer(numbers | _seconds(place, policy, evaluate_s=time.perf_counter() - began), {}, {})
    lr = learning_rate(place.config.training, order.round, place.config.rounds)
    facts = site_facts(place, order, train, received, keeping, Start(whole, shared or {}, lr))
    evaluate_s = time.perf_counter() - began

    stream = generator(place.config.seed, "objective", place.site, order.round)
    hiding = _hiding(place, order, train)
    report = train_locally(
        net,
        place.rows_to_train(statistics),
        OBJECTIVES[place.config.objective.name](place.config.objective, facts, stream),
        place.config.training,
        lr=lr,
        order=generator(place.config.seed, "order", place.site, order.round),
        position_mask=hiding,
    )
    keeping.remember(facts.memory)
    trained = keeping.without_private(state_of(net), place, order.round)
    there = train.observed.available
    if hiding is not None and place.unmasked is None:
        there = left_of(there, hiding)
    counts = trained_rows(there, place.names, components(trained))
    if place.config.aggregation.whole_model:
        counts = dict.fromkeys(counts, train.count)
    counts |= dict.fromkeys(untouched(whole, trained), 0)
    found = release(place, order, policy, whole, trained, counts, there, train, report.steps)
    held = dict(zip(place.names, train.observed.available.sum(axis=0).tolist(), strict=True))
    losses = told_losses(report.losses, train.count, held, policy.floors)
    numbers |= {f"rows.{name}": count for name, count in found.rows.items()}
    numbers |= {f"loss.{name}": value for name, value in losses.items()}
    numbers |= {"steps": found.steps} | _seconds(place, policy, evaluate_s=evaluate_s, train_s=report.seconds)
    # An objective that shares nothing may still compute something to tell: it has no reader.
    told = report.told if place.config.objective.name in SHARED else {}
    return Answer(numbers, found.trained, told, found)


def _seconds(place: Workplace, policy: Policy, **seconds: float) -> dict[str, Number]:
    return {name: told_seconds(value, place.config.exchange.poll_s, policy.floors) for name, value in seconds.items()}


def _hiding(place: Workplace, order: Order, train: DeviceRows) -> npt.NDArray[np.bool_] | None:
    """What local training may see beyond the rows' own gaps, bool ``(rows, modalities)``; None = all of it."""
    found = train.observed.available if place.unmasked is not None else None
    away = place.away(order.round, order.modalities)
    if away:
        here = np.array([name not in away for name in place.names])
        found = np.broadcast_to(here, train.observed.available.shape) if found is None else found & here
    return found


def untouched(received: State, trained: State) -> list[str]:
    """Components that no step moved: no row trained them, so they do not count in their average."""
    moved: set[str] = set()
    for key, value in trained.items():
        if component_of(key) not in moved and not np.array_equal(value, received[key]):
            moved.add(component_of(key))
    return [component for component in components(trained) if component not in moved]
