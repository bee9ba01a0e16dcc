"""What a site says of the model as received: contributions of its modalities, as tables that add up."""

from __future__ import annotations

from client.workplace import Workplace
from fedmce.contributions import Tally, is_exact
from fedmce.metrics import Cells
from fedmce.models import MultimodalNet, Statistics
from fedmce.streams import generator
from fedmce.subsets import LISTED
from fedmce.training import DeviceRows, Predictions, measure, predict_full, predict_subsets
from fedmce.wire import Number, Order


def received_model(
    place: Workplace, order: Order, net: MultimodalNet, train: DeviceRows, statistics: dict[str, Statistics]
) -> tuple[Predictions, dict[str, Number]]:
    """Predict the training rows with the received model, and measure contributions where the source asks for it.

    Returns:
        Predictions of the training rows, every row's full set among them and every subset where the data set
        has few modalities; and the columns ``value.*`` and ``share.*``, none with ``source=server``.
    """
    config = place.config.contributions
    stream = generator(place.config.seed, "contributions", place.site, order.round)
    if config.source == "received":
        predictions, tally = measure(net, train, config, stream)
        if not is_exact(config, len(place.names)):
            predictions = _predicted(net, train)  # what LCE reads lists every subset, or none but the full ones
        return predictions, tally_columns(tally)
    if config.source == "server":
        return _predicted(net, train), {}
    _, tally = measure(net, place.heldout_on_device(statistics), config, stream)
    return _predicted(net, train), tally_columns(tally)


def _predicted(net: MultimodalNet, train: DeviceRows) -> Predictions:
    return (predict_subsets if len(net.spec.names) <= LISTED else predict_full)(net, train)


def tally_columns(tally: Tally) -> dict[str, Number]:
    """Columns ``value.pattern|subset|total|square|rows`` and ``share.modality|size|total|square|rows``."""
    tables = {"share": tally.shares.to_columns()}
    if tally.values is not None:
        tables["value"] = tally.values.to_columns()
    # Empty lists are left out, since their type would be unknown.
    return {
        f"{table}.{name}": column for table, columns in tables.items() for name, column in columns.items() if column
    }


def score_columns(cells: Cells) -> dict[str, Number]:
    """Metric sums as columns ``score.<metric>.subset|total|count``."""
    found: dict[str, Number] = {}
    for metric, by_subset in cells.items():
        codes = sorted(by_subset)
        if codes:
            found[f"score.{metric}.subset"] = codes
            found[f"score.{metric}.total"] = [float(by_subset[c][0]) for c in codes]
            found[f"score.{metric}.count"] = [float(by_subset[c][1]) for c in codes]
    return found
