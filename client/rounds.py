"""One round at a site: score the model as received, fill the value table, train, answer once."""

from __future__ import annotations

import time

import numpy as np

from client.facts import site_facts
from client.measured import received_model
from client.workplace import Workplace
from fedmce.flower_compat import RecordDict
from fedmce.metrics import Cells, completed
from fedmce.models import State, Statistics, component_of, components, load_state, state_of, trained_rows
from fedmce.objectives import OBJECTIVES
from fedmce.streams import generator
from fedmce.training import learning_rate, predict_subsets, train_locally
from fedmce.wire import Number, Order


def answer(
    place: Workplace, order: Order, model: State, statistics: dict[str, Statistics], memory: RecordDict
) -> tuple[dict[str, Number], State]:
    """Evaluate the received components, then train them if asked.

    Args:
        place: the site.
        order: what the server asks.
        model: the components that the site was given.
        statistics: mean and standard deviation of their modalities.
        memory: what the node keeps from round to round, at the site alone.

    Returns:
        Numbers for the report, and the trained components (empty if the order was to score only).
    """
    train, validation = place.on_device(statistics)
    net = place.net(order.modalities)
    load_state(net, model)

    began = time.perf_counter()
    received, numbers = received_model(place, order, net, train, statistics)
    cells = predict_subsets(net, validation).cells()
    if (use := place.spec.use_completion) != "off":
        cells |= completed(predict_subsets(net, validation, use).cells())
    numbers |= _score_columns(cells)
    facts = site_facts(place, order, train, received, memory) if order.train else None
    numbers["evaluate_s"] = time.perf_counter() - began
    if facts is None:
        return numbers, {}

    stream = generator(place.config.seed, "objective", place.site, order.round)
    report = train_locally(
        net,
        place.rows_to_train(statistics),
        OBJECTIVES[place.config.objective.name](place.config.objective, facts, stream),
        place.config.training,
        lr=learning_rate(place.config.training, order.round, place.config.rounds),
        order=generator(place.config.seed, "order", place.site, order.round),
        position_mask=train.observed.available if place.unmasked is not None else None,
    )
    trained = state_of(net)
    counts = trained_rows(train.observed.available, place.names, components(trained))
    if place.config.aggregation.whole_model:
        counts = dict.fromkeys(counts, train.count)
    counts |= dict.fromkeys(untouched(model, trained), 0)
    numbers |= {f"rows.{name}": count for name, count in counts.items()}
    numbers |= {f"loss.{name}": value for name, value in report.losses.items()}
    numbers |= {"steps": report.steps, "train_s": report.seconds}
    return numbers, trained


def untouched(received: State, trained: State) -> list[str]:
    """Components that no step moved: no row trained them, so they do not count in their average."""
    moved: set[str] = set()
    for key, value in trained.items():
        if component_of(key) not in moved and not np.array_equal(value, received[key]):
            moved.add(component_of(key))
    return [component for component in components(trained) if component not in moved]


def _score_columns(cells: Cells) -> dict[str, Number]:
    """Metric sums as columns ``score.<metric>.subset|total|count``."""
    found: dict[str, Number] = {}
    for metric, by_subset in cells.items():
        codes = sorted(by_subset)
        if codes:
            found[f"score.{metric}.subset"] = codes
            found[f"score.{metric}.total"] = [float(by_subset[c][0]) for c in codes]
            found[f"score.{metric}.count"] = [float(by_subset[c][1]) for c in codes]
    return found
