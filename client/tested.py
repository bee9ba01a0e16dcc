"""Test rows at a site, scored with the model that the site ends with."""

from __future__ import annotations

import time

from client.facts import Start, site_facts
from client.keeping import Keeping
from client.measured import received_model, score_columns
from client.workplace import Workplace
from fedmce.models import MultimodalNet, State, Statistics, component_of, load_state, parameters_of
from fedmce.objectives import OBJECTIVES
from fedmce.streams import generator
from fedmce.training import learning_rate, predict_own, train_locally
from fedmce.wire import Number, Order

CLASSIFYING = ("head", "fusion")  # kinds of components that fine-tuning moves


def tested(
    place: Workplace, order: Order, model: State, statistics: dict[str, Statistics], keeping: Keeping
) -> dict[str, Number]:
    """Sums of the test rows; nothing that is learnt on the way is kept.

    Args:
        place: the site.
        order: names the last round that was trained.
        model: every component that the server gives.
        statistics: of all modalities.
        keeping: what the site has of its own.
    """
    began = time.perf_counter()
    whole, usable = keeping.as_it_ends(model, place, order.round)
    net = place.net(usable)
    net.use_blanks(statistics)
    load_state(net, whole)
    if place.config.aggregation.finetune_epochs:
        _finetune(net, place, order, whole, statistics, keeping)
    cells = predict_own(net, place.test_on_device(statistics), usable, place.prior).cells()
    return score_columns(cells) | {"evaluate_s": time.perf_counter() - began}


def _finetune(
    net: MultimodalNet,
    place: Workplace,
    order: Order,
    start: State,
    statistics: dict[str, Statistics],
    keeping: Keeping,
) -> None:
    """Train heads and fusion on the site's training rows; encoders, projections and completion stay to the bit."""
    config = place.config
    train, _ = place.on_device(statistics)
    received, _ = received_model(place, order, net, train, statistics)
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
