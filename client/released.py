"""What of a local training leaves the site, and what the site notes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from client.policy import Policy
from client.workplace import Workplace
from fedmce.models import State, component_of, modality_of, trained_rows
from fedmce.privacy import Behind, Block, Entry, Reason, held_back, is_noised, length, noised, rounded
from fedmce.training import DeviceRows
from fedmce.wire import Number, Order, digest, text_sha256


@dataclass(frozen=True)
class Release:
    """A trained update as it leaves.

    Attributes:
        trained: components; one that is held back is as it was received, so the reply has the same layout and size.
        rows: told for each; 0 where it has no weight.
        held_back: why components are not released.
        norms: length of a noised component's change before it was cut.
        cuts: factor that it was cut with.
        steps: told.
        received: the components before training, with those that stay.
    """

    trained: State
    rows: dict[str, int]
    held_back: dict[str, tuple[Reason, ...]] = field(default_factory=dict)
    norms: dict[str, float] = field(default_factory=dict)
    cuts: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    received: State = field(default_factory=dict, repr=False)


def release(
    place: Workplace,
    order: Order,
    policy: Policy,
    received: State,
    trained: State,
    rows: Mapping[str, int],
    there: npt.NDArray[np.bool_],
    train: DeviceRows,
    steps: int,
) -> Release:
    """Apply the site's floors to a trained update.

    Args:
        place: the site.
        order: who else holds what.
        policy: the site's floors.
        received: the components before training.
        trained: those that are to leave, after it.
        rows: counted for each of them; 0 where no step moved it.
        there: what of the training rows took part, bool ``(rows, modalities)``.
        train: the training rows.
        steps: of local training.
    """
    floors = policy.floors
    if floors.is_open and floors.single_holder == "accept":
        return Release(trained, dict(rows), steps=steps, received=received)
    parts = _by_component(trained)
    behind = trained_rows(there, place.names, parts)
    state, told, held = State(trained), dict[str, int](), dict[str, tuple[Reason, ...]]()
    norms, cuts = dict[str, float](), dict[str, float]()
    for name, part in parts.items():
        told[name] = 0
        if rows[name] == 0:
            continue
        before = {key: received[key] for key in part}
        first = policy.first_layers.get(name, "none")
        classes = _class_rows(name, place, there, train)
        batch = min(place.config.training.batch_size, train.count)
        what = Behind(name, behind[name], steps, batch, first, classes, name in order.single)
        if why := held_back(what, floors):
            held[name] = why
            state |= before
            continue
        whole_model = place.config.aggregation.whole_model
        told[name] = min(rounded(rows[name], floors), policy.train.rows_of(name, place.names, whole_model=whole_model))
        if is_noised(first, floors):
            changed = noised(before, part, floors)
            state |= changed.state
            norms[name], cuts[name] = changed.norm, changed.cut
    return Release(state, told, held, norms, cuts, _told_steps(place, policy, steps), received)


def entry(
    place: Workplace,
    order: Order,
    policy: Policy,
    numbers: Mapping[str, Number],
    found: Release | None = None,
    told: Mapping[str, npt.NDArray[np.generic]] | None = None,
) -> Entry:
    """The line of the site's ledger for one reply.

    Args:
        place: the site.
        order: what was asked.
        policy: the site's floors.
        numbers: of the report.
        found: of a training.
        told: arrays beside the update; of a profile its sums.
    """
    kind = "profile" if order.round == 0 else "test" if order.test else "train" if order.train else "score"
    lengths = {name: len(value) if isinstance(value, list) else 1 for name, value in sorted(numbers.items())}
    arrays = (found.trained if found is not None else {}) | dict(told or {})
    return Entry(
        round=order.round,
        kind=kind,
        site=place.site,
        plan=text_sha256(order.config),
        base=order.base,
        asked=order.asked,
        steps=found.steps if found is not None else 0,
        batch=min(place.config.training.batch_size, place.train.rows) if found is not None else 0,
        blocks=_blocks(order, policy, found) if found is not None else (),
        told=lengths,
        digest=digest(arrays) if arrays else "",
        audit_head=order.audit_head,
    )


def _blocks(order: Order, policy: Policy, found: Release) -> tuple[Block, ...]:
    blocks = []
    for name, part in _by_component(found.trained).items():
        why = found.held_back.get(name, ())
        is_released = not why and found.rows[name] > 0
        norm = found.norms.get(name)
        if norm is None and is_released:
            norm = length({key: value - found.received[key] for key, value in part.items()})
        blocks.append(
            Block(
                component=name,
                rows=found.rows[name],
                norm=norm,
                cut=found.cuts.get(name),
                noise_sd=policy.floors.noise_sd if name in found.cuts else 0.0,
                is_single=name in order.single,
                held_back=why,
                digest=digest(part),
            )
        )
    return tuple(blocks)


def _by_component(state: State) -> dict[str, State]:
    found: dict[str, State] = {}
    for key in sorted(state):
        found.setdefault(component_of(key), {})[key] = state[key]
    return found


def _class_rows(name: str, place: Workplace, there: npt.NDArray[np.bool_], train: DeviceRows) -> list[int]:
    modality = modality_of(name)
    held = there.any(axis=1) if modality is None else there[:, place.names.index(modality)]
    counts = np.bincount(train.observed.targets[held], minlength=len(place.task.classes))
    return [int(n) for n in counts]


def _told_steps(place: Workplace, policy: Policy, steps: int) -> int:
    """Steps as they follow from the told rows: the true number would tell rows to within a batch."""
    if policy.floors.is_open:
        return steps
    training = place.config.training
    return max(1, min(steps, training.local_epochs * -(-policy.train.rows // training.batch_size)))
