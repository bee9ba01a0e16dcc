"""The gate: every reply passes it before any number of it is added to anything.

A pure function from a reply and what was expected to a verdict. It never raises and never repairs: a
reply that is not what was agreed is set aside by name with a reason from a closed list, and the round goes
on as if the site had not been there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from fedmce.config.schema import ContributionsConfig
from fedmce.contributions import Tally
from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message, MetricRecord, decode
from fedmce.metrics import Cells
from fedmce.models import State, component_of
from fedmce.objectives.objective import Arrays
from fedmce.wire import REPORT, SCHEMA, SHARED, STAMP, UPDATE
from server.claims import Claim, read_tally
from server.roster import RowCounts

MOST_SECONDS = 1e7  # no round takes months; larger claims would only overflow the sums of the record

Reason = Literal[
    "late",
    "site_error",
    "layout",
    "schema",
    "wrong_site",
    "wrong_round",
    "stale_base",
    "wrong_config",
    "unknown_component",
    "not_granted",
    "key_set",
    "dtype",
    "shape",
    "nonfinite",
    "magnitude",
    "count",
    "count_above_profile",
    "claim",
    "metric",
    "internal",
]


@dataclass(frozen=True)
class Expectation:
    """What an honest reply of one site in one round looks like.

    Attributes:
        site: its name.
        round: number of the round.
        base: digest of the model part that was sent.
        config_sha256: of the configuration that was sent.
        train: an update is due.
        shapes: shape per parameter key that was granted.
        known: all parameter keys of the network.
        most_rows: most rows that can have trained each granted component.
        contributions: how they are measured; None where the site measures none.
        measured: rows that they are measured on, from the site's profile; None where it measures none.
        magnitude_limit: largest absolute value of a parameter.
        modalities: number of modalities of the data set.
        most_scored: per known metric the largest count that the site's validation rows (of a test: test rows) allow.
        told: shape per array that the objective tells beside the update.
    """

    site: str
    round: int
    base: str
    config_sha256: str
    train: bool
    shapes: Mapping[str, tuple[int, ...]]
    known: frozenset[str]
    most_rows: Mapping[str, int]
    contributions: ContributionsConfig | None
    measured: RowCounts | None
    magnitude_limit: float
    modalities: int
    most_scored: Mapping[str, int]
    told: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Accepted:
    """A reply that may be used."""

    update: State
    rows: dict[str, int]
    tally: Tally | None
    cells: Cells
    losses: dict[str, float]
    seconds: dict[str, float]
    told: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A reply that is set aside."""

    reason: Reason
    detail: str = field(default="")


class _Stop(Exception):  # noqa: N818 - not an error: control flow inside one function
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.refused = Refused(reason, detail)


def gate(reply: Message | None, expected: Expectation) -> Accepted | Refused:
    """Judge one reply; ``None`` is a reply that did not come in time."""
    try:
        return _judge(reply, expected)
    except _Stop as stop:
        return stop.refused
    except Exception as error:  # whatever a hostile or broken record can provoke is a verdict too
        return Refused("internal", f"{type(error).__name__}: {error}"[:300])


def _judge(reply: Message | None, expected: Expectation) -> Accepted:
    if reply is None:
        raise _Stop("late", "no reply before the deadline")
    if reply.has_error():
        raise _Stop("site_error", f"code {reply.error.code}: {reply.error.reason}"[:300])
    content = reply.content
    wanted: dict[str, type] = {REPORT: MetricRecord, STAMP: ConfigRecord}
    wanted |= {UPDATE: ArrayRecord} if expected.train else {}
    wanted |= {SHARED: ArrayRecord} if expected.told else {}
    found = {name: type(record).__name__ for name, record in content.items()}
    if {name: kind.__name__ for name, kind in wanted.items()} != found:
        raise _Stop("layout", f"records {found}; needed {sorted(wanted)}")
    _check_stamp(content.config_records[STAMP], expected)
    update = _check_update(content.array_records[UPDATE], expected) if expected.train else {}
    report = dict(content.metric_records[REPORT])
    rows = _check_rows(report, expected) if expected.train else {}
    return Accepted(
        update=update,
        rows=rows,
        tally=_check_tally(report, expected),
        cells=_check_scores(report, expected),
        losses={k.removeprefix("loss."): _finite(k, v) for k, v in report.items() if k.startswith("loss.")},
        seconds={k: _seconds(k, report.get(k, 0.0)) for k in ("train_s", "evaluate_s")},
        told=_check_told(content.array_records[SHARED], expected) if expected.told else {},
    )


def _check_stamp(stamp: Mapping[str, Any], expected: Expectation) -> None:
    agreed: list[tuple[str, Reason, Any]] = [
        ("schema", "schema", SCHEMA),
        ("site", "wrong_site", expected.site),
        ("round", "wrong_round", expected.round),
        ("base", "stale_base", expected.base),
        ("config_sha256", "wrong_config", expected.config_sha256),
    ]
    for key, reason, value in agreed:
        given = stamp.get(key)
        if type(given) is not type(value) or given != value:  # True == 1 == 1.0
            raise _Stop(reason, f"{key} {given!r}; expected {value!r}")


def _check_update(record: ArrayRecord, expected: Expectation) -> State:
    keys = set(record)
    if unknown := sorted(keys - expected.known):
        raise _Stop("unknown_component", f"{unknown[0]} ({len(unknown)} unknown keys)")
    if extra := sorted(keys - set(expected.shapes)):
        raise _Stop("not_granted", f"{component_of(extra[0])} was not given to this site")
    if missing := sorted(set(expected.shapes) - keys):
        raise _Stop("key_set", f"{missing[0]} is missing ({len(missing)} keys)")
    return _read_arrays(record, expected.shapes, expected.magnitude_limit)


def _check_told(record: ArrayRecord, expected: Expectation) -> Arrays:
    keys = set(record)
    if keys != set(expected.told):
        raise _Stop("key_set", f"shared arrays {sorted(keys ^ set(expected.told))[:3]} are missing or too much")
    return _read_arrays(record, expected.told, expected.magnitude_limit)


def _read_arrays(record: ArrayRecord, shapes: Mapping[str, tuple[int, ...]], magnitude_limit: float) -> State:
    found: State = {}
    for key, shape in shapes.items():
        header = record[key]
        if header.stype != "numpy.ndarray" or header.dtype != "float32":
            raise _Stop("dtype", f"{key} is {header.dtype} ({header.stype}); needed float32")
        if tuple(header.shape) != shape:
            raise _Stop("shape", f"{key} is {tuple(header.shape)}; needed {shape}")
        value = decode(header)
        if value.dtype != np.float32:
            raise _Stop("dtype", f"{key} holds {value.dtype}; its header says float32")
        if value.shape != shape:
            raise _Stop("shape", f"{key} holds {value.shape}; its header says {shape}")
        largest = float(np.abs(value).max()) if value.size else 0.0
        if not np.isfinite(largest):
            raise _Stop("nonfinite", f"{key} holds NaN or infinity")
        if largest > magnitude_limit:
            raise _Stop("magnitude", f"{key} reaches {largest:.3g}; the limit is {magnitude_limit:g}")
        found[key] = value
    return found


def _check_rows(report: Mapping[str, Any], expected: Expectation) -> dict[str, int]:
    claimed = {key.removeprefix("rows."): value for key, value in report.items() if key.startswith("rows.")}
    if set(claimed) != set(expected.most_rows):
        raise _Stop("count", f"rows for {sorted(claimed)}; needed {sorted(expected.most_rows)}")
    for component, count in claimed.items():
        if type(count) is not int or count < 0:
            raise _Stop("count", f"rows of {component} are {count!r}; a count of 0 or more is needed")
        if count > expected.most_rows[component]:
            raise _Stop(
                "count_above_profile",
                f"rows of {component} are {count}; the profile has {expected.most_rows[component]}",
            )
    return claimed


def _check_tally(report: Mapping[str, Any], expected: Expectation) -> Tally | None:
    columns = {key: value for key, value in report.items() if key.startswith(("value.", "share."))}
    if expected.contributions is None or expected.measured is None:
        if columns:
            raise _Stop("claim", f"{min(columns)}: this run does not ask sites for contributions")
        return None
    try:
        return read_tally(columns, expected.contributions, expected.measured, expected.modalities)
    except Claim as claim:
        raise _Stop("claim", str(claim)) from claim


def _check_scores(report: Mapping[str, Any], expected: Expectation) -> Cells:
    cells: Cells = {}
    for metric in sorted({key.split(".")[1] for key in report if key.startswith("score.")}):
        if metric not in expected.most_scored:
            raise _Stop("metric", f"{metric!r} is not one of {sorted(expected.most_scored)}")
        columns = [report.get(f"score.{metric}.{name}") for name in ("subset", "total", "count")]
        codes, totals, counts = (column if isinstance(column, list) else [] for column in columns)
        if not len(codes) == len(totals) == len(counts) > 0:
            raise _Stop("metric", f"{metric}: needed lists subset, total and count of one length")
        cells[metric] = {}
        for code, total, count in zip(codes, totals, counts, strict=True):
            # A count without bound would drown the other sites; an infinite one would end the run.
            if type(code) is not int or not 0 < code < 1 << expected.modalities:
                raise _Stop("metric", f"{metric}: {code!r} is no subset")
            if not 0 <= total <= count <= expected.most_scored[metric]:
                raise _Stop("metric", f"{metric} of subset {code}: {total!r} of {count!r}")
            cells[metric][code] = [float(total), float(count)]
    return cells


def _finite(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not np.isfinite(value):
        raise _Stop("metric", f"{name} is {value!r}; a finite number is needed")
    return float(value)


def _seconds(name: str, value: Any) -> float:
    seconds = _finite(name, value)
    if not 0 <= seconds <= MOST_SECONDS:
        raise _Stop("metric", f"{name} is {value!r}; needed 0 to {MOST_SECONDS:g}")
    return seconds
