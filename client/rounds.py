"""One round at a site: score the model as received, fill the value table, train, answer once."""

from __future__ import annotations

import time

from client.workplace import Workplace
from fedmce.metrics import Cells
from fedmce.models import State, Statistics, components, load_state, state_of, trained_rows
from fedmce.objectives import OBJECTIVES, Objective, SiteFacts
from fedmce.streams import generator
from fedmce.training import DeviceRows, Predictions, capability_gaps, learning_rate, predict_subsets, train_locally
from fedmce.wire import Number, Order


def answer(
    place: Workplace, order: Order, model: State, statistics: dict[str, Statistics]
) -> tuple[dict[str, Number], State]:
    """Evaluate the received components, then train them if asked.

    Args:
        place: the site.
        order: what the server asks.
        model: the components that the site was given.
        statistics: mean and standard deviation of their modalities.

    Returns:
        Numbers for the report, and the trained components (empty if the order was to score only).
    """
    train, validation = place.on_device(statistics)
    net = place.net(order.modalities)
    load_state(net, model)

    began = time.perf_counter()
    received = predict_subsets(net, train)
    numbers: dict[str, Number] = {}
    numbers |= _value_columns(received, len(place.names))
    numbers |= _score_columns(predict_subsets(net, validation).cells())
    numbers["evaluate_s"] = time.perf_counter() - began
    if not order.train:
        return numbers, {}

    report = train_locally(
        net,
        train,
        _objective(place, order, train, received),
        place.config.training,
        lr=learning_rate(place.config.training, order.round, place.config.rounds),
        order=generator(place.config.seed, "order", place.site, order.round),
    )
    trained = state_of(net)
    counts = trained_rows(train.observed.available, place.names, components(trained))
    if place.config.aggregation.whole_model:
        counts = dict.fromkeys(counts, train.count)
    numbers |= {f"rows.{name}": count for name, count in counts.items()}
    numbers |= {f"loss.{name}": value for name, value in report.losses.items()}
    numbers |= {"steps": report.steps, "train_s": report.seconds}
    return numbers, trained


def _objective(place: Workplace, order: Order, rows: DeviceRows, received: Predictions) -> Objective:
    available = rows.observed.available
    facts = SiteFacts(
        modalities=place.names,
        rows=rows.count,
        rows_by_modality={m: int(n) for m, n in zip(place.names, available.sum(axis=0), strict=True)},
        all_rows=order.all_rows,
        all_rows_by_modality=dict(zip(place.names, order.all_rows_by_modality, strict=True)),
        gap=capability_gaps(received, available, place.names),
    )
    stream = generator(place.config.seed, "objective", place.site, order.round)
    return OBJECTIVES[place.config.objective.name](place.config.objective, facts, stream)


def _value_columns(received: Predictions, modalities: int) -> dict[str, Number]:
    columns = received.values(modalities).to_columns()
    return {f"value.{name}": column for name, column in columns.items() if column}


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
