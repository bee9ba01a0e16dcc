"""What a site does with a message: the same function in a simulation, in a ClientApp and in a site worker.

Imports torch, so a deployed ClientApp leaves it to its worker.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from client.kept import Kept
from client.padding import pad
from client.policy import PINNED, Policy, admit, policy_of
from client.profile import profile as profile_of
from client.profile import told_data
from client.released import entry
from client.rounds import Answer, answer
from client.workplace import Workplace, folder_of, open_workplace, site_name
from fedmce import __version__
from fedmce.config.schema import RunConfig
from fedmce.errors import WireError
from fedmce.flower_compat import (
    ArrayRecord,
    ConfigRecord,
    Context,
    Message,
    MetricRecord,
    RecordDict,
    array_record,
    arrays_of,
)
from fedmce.models import Statistics
from fedmce.privacy import Ledger
from fedmce.site_errors import SiteError
from fedmce.wire import DATA, MODEL, ORDER, REPORT, SHARED, STAMP, STATISTICS, UPDATE, Order, stamp, text_sha256

Records = dict[str, ArrayRecord | MetricRecord | ConfigRecord]
PROFILE = "query.profile"


def handle(message: Message, context: Context) -> Message:
    """The reply to a message of type ``query.profile``, ``train`` or ``evaluate``.

    Whatever goes wrong is raised; then nothing that was kept warm is trusted any more.

    Args:
        message: with an order.
        context: its ``node_config`` may name ``site``, ``folder`` (the site's data) and ``home`` (what it keeps).
    """
    try:
        return _handle(message, context)
    except BaseException:
        open_workplace.cache_clear()
        raise


def _handle(message: Message, context: Context) -> Message:
    order, node = Order.from_record(message.content.config_records[ORDER]), dict(context.node_config)
    is_profile = message.metadata.message_type == PROFILE
    admit(order, node, context.state)
    site = site_name(RunConfig.model_validate_json(order.config), node)
    if not is_profile and site != order.site:
        raise SiteError(
            "plan_refused", f"order for site {order.site!r} reached site {site!r}; check the names of the nodes"
        )
    folder = folder_of(node)
    kept = Kept(Path(str(node["home"])), order.config, site) if node.get("home") else None
    if kept is not None and folder is not None:
        kept.check_data(Path(folder), is_profile)
    place = open_workplace(order.config, site, folder)
    policy = policy_of(place)
    ledger = Ledger(Path(str(node["home"]))) if node.get("home") else None
    if is_profile:
        records = _profile(place, order, policy, ledger)
    else:
        pin = context.state.pop(PINNED, None)  # of this run of Flower's, so no part of what the site keeps
        records = _round(place, order, message, context, kept, policy, ledger)
        if pin is not None:
            context.state[PINNED] = pin
    said = stamp(site, order.round, order.base, text_sha256(order.config), __version__)
    if is_profile and folder is not None:
        said[DATA] = told_data(Path(folder), order.config)
    records[STAMP] = ConfigRecord(said)
    if not policy.floors.is_open:
        pad(records)
    return Message(RecordDict(records), reply_to=message)


def _profile(place: Workplace, order: Order, policy: Policy, ledger: Ledger | None) -> Records:
    numbers, sums = profile_of(place, policy)
    if ledger is not None:
        ledger.write(entry(place, order, policy, numbers, told=sums))
    return {STATISTICS: array_record(sums), REPORT: MetricRecord(numbers)}


def _round(
    place: Workplace,
    order: Order,
    message: Message,
    context: Context,
    kept: Kept | None,
    policy: Policy,
    ledger: Ledger | None,
) -> Records:
    arrays = message.content.array_records
    scales = arrays_of(arrays[STATISTICS])
    try:
        statistics = {
            m: Statistics(scales[f"{m}/mean"], scales[f"{m}/std"], scales.get(f"{m}/blank")) for m in order.modalities
        }
    except KeyError as error:
        raise WireError(f"statistics: {error} is missing; needed mean and std of {order.modalities}") from None
    if kept is not None:
        if place.splits and order.train:
            kept.check_splits(order.round, place.splits)
        context.state = kept.before(order.round - 1 if order.train else order.round, context.state)
    shared = arrays_of(arrays[SHARED]) if SHARED in arrays else None
    said = answer(place, order, arrays_of(arrays[MODEL]), statistics, context.state, shared, policy)
    check_finite(said)
    if ledger is not None:  # before anything leaves: what cannot be noted is not released
        ledger.write(entry(place, order, policy, said.numbers, said.release, said.told))
    if kept is not None and order.train:
        kept.keep(order.round, context.state)
    records: Records = {REPORT: MetricRecord(said.numbers)}
    if order.train:
        records[UPDATE] = array_record(said.trained)
    if said.told:
        records[SHARED] = array_record(said.told)
    return records


def check_finite(said: Answer) -> None:
    """Release nothing of a training that left the numbers.

    Raises:
        SiteError: a loss, a trained value or a value that the objective shares is NaN or infinite.
    """
    wrong = [
        name for name, value in said.numbers.items() if name.startswith("loss.") and not np.all(np.isfinite(value))
    ]
    wrong += [key for part in (said.trained, said.told) for key, value in part.items() if not _is_finite(value)]
    if wrong:
        raise SiteError("nonfinite_training", f"NaN or infinity in {', '.join(wrong[:5])}; try a smaller training.lr")


def _is_finite(value: np.ndarray) -> bool:
    return not np.issubdtype(value.dtype, np.floating) or bool(np.isfinite(value).all())
