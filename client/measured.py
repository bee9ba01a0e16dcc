"""What a site says of the model as received: contributions of its modalities, as tables that add up."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from client.policy import Policy
from client.workplace import Workplace
from fedmce.contributions import is_exact
from fedmce.metrics import Cells
from fedmce.models import MultimodalNet, Statistics
from fedmce.privacy import Cohort, told_rows, told_tally
from fedmce.streams import generator
from fedmce.subsets import LISTED
from fedmce.training import DeviceRows, Predictions, measure, predict_full, predict_subsets
from fedmce.training.scored_columns import cell_columns, tally_columns
from fedmce.wire import Number, Order


def received_model(
    place: Workplace,
    order: Order,
    net: MultimodalNet,
    train: DeviceRows,
    statistics: dict[str, Statistics],
    policy: Policy,
) -> tuple[Predictions, dict[str, Number]]:
    """Predict the training rows with the received model, and measure contributions where the source asks for it.

    Contributions are measured on rows whose pattern the site tells, and told as coarsely as its floors ask.

    Returns:
        Predictions of the training rows, every row's full set among them and every subset where the data set
        has few modalities; and the columns ``value.*`` and ``share.*``, none with ``source=server``.
    """
    config = place.config.contributions
    stream = generator(place.config.seed, "contributions", place.site, order.round)
    if config.source == "received":
        predictions, tally = measure(net, train, config, stream, _kept(train, policy.train, policy))
        if not is_exact(config, len(place.names)):
            predictions = _predicted(net, train)  # what LCE reads lists every subset, or none but the full ones
        return predictions, tally_columns(told_tally(tally, policy.train, policy.floors))
    if config.source == "server":
        return _predicted(net, train), {}
    assert policy.heldout is not None, "this site holds no rows out"
    heldout = place.heldout_on_device(statistics)
    _, tally = measure(net, heldout, config, stream, _kept(heldout, policy.heldout, policy))
    return _predicted(net, train), tally_columns(told_tally(tally, policy.heldout, policy.floors))


def _kept(rows: DeviceRows, told: Cohort, policy: Policy) -> npt.NDArray[np.bool_] | None:
    return None if policy.floors.is_open else told_rows(rows.observed.available, told)


def _predicted(net: MultimodalNet, train: DeviceRows) -> Predictions:
    return (predict_subsets if len(net.spec.names) <= LISTED else predict_full)(net, train)


def score_columns(cells: Cells) -> dict[str, Number]:
    """Metric sums as columns ``score.<metric>.subset|total|count``."""
    return cell_columns(cells, "score.")
