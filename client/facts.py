"""What an objective is told of its site before a local training, and what the site remembers of warm-up rounds."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from client.keeping import Keeping
from client.workplace import Workplace
from fedmce.flower_compat import RecordDict, array_record, arrays_of
from fedmce.models import State
from fedmce.objectives import SiteFacts
from fedmce.objectives.objective import Arrays
from fedmce.training import DeviceRows, Predictions, starting_lack, unimodal_values
from fedmce.wire import Order

REFERENCE = "reference"  # record in the node's own state: per row, so it never travels


@dataclasses.dataclass(frozen=True)
class Start:
    """What a local training starts from: the whole state, shared arrays, step size."""

    state: State
    shared: Arrays
    learning_rate: float


def site_facts(
    place: Workplace, order: Order, rows: DeviceRows, received: Predictions, keeping: Keeping, start: Start
) -> SiteFacts:
    """Facts of this site in this round.

    Args:
        place: the site.
        order: counts over all sites, number of the round.
        rows: the rows that are trained on, with what the received components can use of them.
        received: predictions of the received model on these rows.
        keeping: what the node keeps.
        start: what the training starts from.
    """
    objective, available = place.config.objective, rows.observed.available
    facts = SiteFacts(
        modalities=place.names,
        rows=rows.count,
        rows_by_modality={m: int(n) for m, n in zip(place.names, available.sum(axis=0), strict=True)},
        all_rows=order.all_rows,
        all_rows_by_modality=dict(zip(place.names, order.all_rows_by_modality, strict=True)),
        lack={},
        class_rows=tuple(int(n) for n in np.bincount(rows.observed.targets, minlength=len(place.task.classes))),
        round=order.round,
        rounds=place.config.rounds,
        held=order.modalities,
        received=start.state,
        shared=start.shared,
        memory=keeping.of_objective(),
        spec=place.spec,
        learning_rate=start.learning_rate,
    )
    if objective.name != "mce":
        return facts
    if objective.reference == "frozen":
        if order.round <= objective.warmup_rounds:
            return dataclasses.replace(facts, warming=True)
        facts = dataclasses.replace(facts, reference=_reference(objective.value, received, keeping.state))
    return dataclasses.replace(facts, lack=starting_lack(objective, facts, received, available))


def _reference(kind: str, received: Predictions, memory: RecordDict) -> npt.NDArray[np.float32] | None:
    """u_im per row: of the model as received after the warm-up, measured once.

    A site that joins later, or lost its state, takes the model that it then receives.
    """
    if REFERENCE in memory.array_records:
        value: npt.NDArray[np.float32] = arrays_of(memory.array_records[REFERENCE])["value"]
        return value
    found = unimodal_values(received, kind)
    if found is not None:
        memory[REFERENCE] = array_record({"value": found})
    return found
