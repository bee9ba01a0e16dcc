"""The Flower ClientApp of a site.

The module itself is light: torch and the data are opened inside the handlers, since a deployed site
starts a process per message.
"""

from __future__ import annotations

from flwr.app import Context
from flwr.clientapp import ClientApp

from fedmce import __version__
from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict, array_record, arrays_of
from fedmce.wire import MODEL, ORDER, REPORT, SHARED, STAMP, STATISTICS, UPDATE, Order, stamp, text_sha256

Records = dict[str, ArrayRecord | MetricRecord | ConfigRecord]

app = ClientApp()


@app.query("profile")
def profile(message: Message, context: Context) -> Message:
    """Say what this site holds."""
    from client.profile import profile as profile_of
    from client.workplace import folder_of, open_workplace, site_name
    from fedmce.config.schema import RunConfig

    order, node = Order.from_record(message.content.config_records[ORDER]), dict(context.node_config)
    site = site_name(RunConfig.model_validate_json(order.config), node)
    numbers, sums = profile_of(open_workplace(order.config, site, folder_of(node)))
    records: Records = {STATISTICS: array_record(sums), REPORT: MetricRecord(numbers), STAMP: _stamp(order, site)}
    return Message(RecordDict(records), reply_to=message)


@app.query("probe")
def probe(message: Message, context: Context) -> Message:
    """Say that this site lives."""
    return Message(RecordDict(), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Score the received model, train it, send back what was trained."""
    return _answer(message, context)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Score the received model only."""
    return _answer(message, context)


def _answer(message: Message, context: Context) -> Message:
    from client.rounds import answer
    from client.workplace import folder_of, open_workplace, site_name
    from fedmce.config.schema import RunConfig
    from fedmce.errors import WireError
    from fedmce.models import Statistics

    order, node = Order.from_record(message.content.config_records[ORDER]), dict(context.node_config)
    site = site_name(RunConfig.model_validate_json(order.config), node)
    if site != order.site:
        raise WireError(f"order for site {order.site!r} reached site {site!r}; check the names of the nodes")
    arrays = message.content.array_records
    scales = arrays_of(arrays[STATISTICS])
    statistics = {
        m: Statistics(scales[f"{m}/mean"], scales[f"{m}/std"], scales.get(f"{m}/blank")) for m in order.modalities
    }
    said = answer(
        open_workplace(order.config, site, folder_of(node)),
        order,
        arrays_of(arrays[MODEL]),
        statistics,
        context.state,
        arrays_of(arrays[SHARED]) if SHARED in arrays else None,
    )
    records: Records = {REPORT: MetricRecord(said.numbers), STAMP: _stamp(order, site)}
    if order.train:
        records[UPDATE] = array_record(said.trained)
    if said.told:
        records[SHARED] = array_record(said.told)
    return Message(RecordDict(records), reply_to=message)


def _stamp(order: Order, site: str) -> ConfigRecord:
    return ConfigRecord(stamp(site, order.round, order.base, text_sha256(order.config), __version__))
