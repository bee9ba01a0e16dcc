"""The update of a reply: which components, which arrays, which of them may be used."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np

from fedmce.flower_compat import ArrayRecord
from fedmce.models import State, component_of
from server.gate.expectation import Expectation
from server.gate.npy import read_array
from server.gate.stop import Stop
from server.gate.values import Change, Looker
from server.gate.verdicts import Note, shown


@dataclass(frozen=True)
class Used:
    """What of an update may be used.

    Attributes:
        update: without the components that are set aside.
        rows: per granted component; 0 where it has no weight.
        changes: per component of the update.
        notes: on what is not used.
    """

    update: State
    rows: dict[str, int]
    changes: dict[str, Change]
    notes: tuple[Note, ...]

    @property
    def mark(self) -> Hashable:
        """Equal for two updates whose moved components have equal bytes; None where nothing moved."""
        return tuple((c, moved.marks) for c, moved in sorted(self.changes.items()) if not moved.is_none) or None


def read_update(record: ArrayRecord, expected: Expectation) -> State:
    """Arrays of the components that were returned whole; their values are not looked at.

    A component of which nothing came is left out; a site without any is not.

    Raises:
        Stop: ``unknown_component``, ``not_granted``, ``key_set``, or what is wrong with an array.
    """
    keys = set(record)
    if unknown := keys - expected.known:
        raise Stop("unknown_component", f"{shown(min(unknown))} ({len(unknown)} unknown keys)")
    if extra := keys - expected.shapes.keys():
        component = component_of(min(extra))
        raise Stop("not_granted", f"{component} was not given to this site", component)
    missing = expected.shapes.keys() - keys
    for component in {component_of(key) for key in missing}:
        if not keys.isdisjoint(expected.granted[component]):
            lost = sorted(missing.intersection(expected.granted[component]))
            raise Stop("key_set", f"{lost[0]} is missing ({len(lost)} keys)", component)
    if missing and not keys:
        raise Stop("key_set", f"the update is empty; needed {len(missing)} keys")
    return {key: read_array(key, record[key], shape) for key, shape in expected.shapes.items() if key in keys}


def read_told(record: ArrayRecord, expected: Expectation) -> State:
    """Arrays that the objective tells beside the update; all of them, finite and within the limit."""
    if wrong := set(record) ^ expected.told.keys():
        raise Stop("key_set", f"shared arrays: {shown(min(wrong))} is missing or too much")
    found = {key: read_array(key, record[key], shape) for key, shape in expected.told.items()}
    if found:
        Looker(expected.magnitude_limit).change(found, {})
    return found


def weigh_update(update: State, rows: Mapping[str, int], expected: Expectation) -> Used:
    """Look at every value, then decide per component.

    Raises:
        Stop: ``nonfinite`` or ``magnitude``, which condemn the whole reply.
    """
    changes = _changes(update, expected)
    found, aside, notes = dict(rows), set[str](), list[Note]()
    for component in expected.granted:
        note = _verdict(component, changes.get(component), rows[component], expected)
        if note is None:
            continue
        notes.append(note)
        found[component] = 0
        if note.reason != "idle":
            aside.add(component)
    used = {key: value for key, value in update.items() if component_of(key) not in aside}
    kept = {component: moved for component, moved in changes.items() if component not in aside}
    return Used(used, found, kept, tuple(notes))


def _changes(update: State, expected: Expectation) -> dict[str, Change]:
    looker = Looker(expected.magnitude_limit)
    return {
        component: looker.change({key: update[key] for key in keys}, expected.sent)
        for component, keys in expected.granted.items()
        if keys[0] in update
    }


def _verdict(component: str, moved: Change | None, rows: int, expected: Expectation) -> Note | None:
    """Why a component has no weight; None where it has."""
    if moved is None:
        return Note("key_set", f"{component} was left out", component)
    if moved.is_none:  # no rows and no change agree with each other and need no note
        return Note("idle", f"{component} did not change", component) if rows else None
    if rows < expected.floor:
        return Note("count_range", f"{component} was trained on {rows} rows; needed {expected.floor}", component)
    limit = expected.norm_limits.get(component)
    if limit is not None and limit < moved.norm < np.inf:
        return Note("norm", f"{component} changed by {moved.norm:.3g}; the limit is {limit:.3g}", component)
    return None


def without(told: State, components: Mapping[str, object]) -> State:
    """Told arrays less those that belong to parameters of components that are set aside."""
    return {key: value for key, value in told.items() if component_of(key) not in components}
