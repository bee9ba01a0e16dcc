"""The gate: every reply passes it before any number of it is added to anything.

A pure function from a reply and what was expected to a verdict. It never raises and never repairs: a reply that is
not what was agreed is set aside by name with a reason from a closed list, and the round goes on as if the site
had not been there. Cheap checks come before dear ones, names before bytes, headers before values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from fedmce.contributions import Tally
from fedmce.flower_compat import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from fedmce.site_errors import WHERE_TRACES_ARE, said_of_number
from fedmce.training import ScoredRows
from fedmce.wire import REPORT, SCHEMA, SHARED, STAMP, UPDATE
from server.claims import Claim, read_tally
from server.gate.counts import read_counts, read_steps
from server.gate.expectation import Expectation
from server.gate.metrics import Metrics, read_metrics
from server.gate.size import declared_bytes, most_bytes
from server.gate.stop import Stop
from server.gate.tested import read_tested
from server.gate.update import Used, read_told, read_update, weigh_update, without
from server.gate.verdicts import CHECKS, LONGEST_DETAIL, Accepted, Note, Reason, Refused, shown

# Flower's own: the message or its objects are gone, the node is gone, its process died.
TRANSPORT_CODES = frozenset((3, 4, 5, 8))
_NAME, _, _MAJOR = SCHEMA.rpartition("/")


def gate(reply: Message | None, expected: Expectation) -> Accepted | Refused:
    """Judge one reply by itself; ``None`` is a reply that did not come in time."""
    try:
        return _judge(reply, expected)
    except Stop as stop:
        return refused(expected.site, stop)
    except Exception as error:  # whatever a hostile or broken record can provoke is a verdict too
        return refused(expected.site, Stop("internal", where(error)))


def refused(site: str, stop: Stop) -> Refused:
    """The verdict, with site, check and component in its detail."""
    return Refused(stop.reason, _detail(site, stop.reason, stop.component, stop.detail), stop.component)


def where(error: BaseException) -> str:
    """Class and place of an exception, without its text, which may be the reply's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" in {trace.tb_frame.f_code.co_name}, line {trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{place}"


def _detail(site: str, reason: Reason, component: str | None, text: str) -> str:
    about = f", {component}" if component is not None else ""
    return f"{site}, check {CHECKS[reason]}{about}: {text}"[:LONGEST_DETAIL]


def _judge(reply: Message | None, expected: Expectation) -> Accepted:
    if reply is None:
        raise Stop("late", "no reply before the deadline")
    if reply.has_error():
        raise error_of(reply)
    content = reply.content
    _check_layout(content, expected)
    if (given := declared_bytes(content, most := most_bytes(expected))) > most:
        raise Stop("too_large", f"at least {given} bytes; allowed {most}")
    _check_stamp(content.config_records[STAMP], expected)
    report = dict(content.metric_records[REPORT])
    used, steps = Used({}, {}, {}, ()), 0
    if expected.train:
        update = read_update(content.array_records[UPDATE], expected)
        returned = [component for component, keys in expected.granted.items() if keys[0] in update]
        rows, steps = read_counts(report, expected, returned), read_steps(report, expected)
    tally, claim_note = _tally(report, expected)
    metrics, metric_note = _metrics(report, expected)
    scored, test_note = _scored(report, metrics, expected) if metric_note is None else (None, None)
    told = read_told(content.array_records[SHARED], expected) if expected.told else {}
    if expected.train:
        used = weigh_update(update, rows, expected)
    notes = (*used.notes, *(note for note in (claim_note, metric_note, test_note) if note is not None))
    found = Accepted(
        update=used.update,
        rows=used.rows,
        tally=tally,
        cells=metrics.cells,
        losses=metrics.losses,
        seconds=metrics.seconds,
        notes=tuple(replace(n, detail=_detail(expected.site, n.reason, n.component, n.detail)) for n in notes),
        norms={component: change.norm for component, change in used.changes.items()},
        steps=steps,
        mark=used.mark,
        scored=scored,
    )
    return replace(found, told=without(told, found.set_aside))


def error_of(reply: Message) -> Stop:
    """An error reply: its code alone, for its text is the site's and may hold anything."""
    code = reply.error.code
    if type(code) is int and code in TRANSPORT_CODES:
        return Stop("transport", f"Flower's code {code}")
    if (said := said_of_number(code)) is not None:
        return Stop("site_error", f"{said} ({WHERE_TRACES_ARE})")
    return Stop("site_error", f"code {shown(code) if type(code) is int else 'unknown'}")


def _check_layout(content: RecordDict, expected: Expectation) -> None:
    wanted: dict[str, type] = {REPORT: MetricRecord, STAMP: ConfigRecord}
    wanted |= {UPDATE: ArrayRecord} if expected.train else {}
    wanted |= {SHARED: ArrayRecord} if expected.told else {}
    if {name: type(record) for name, record in content.items()} != wanted:
        found = [f"{shown(name)} ({type(record).__name__})" for name, record in list(content.items())[:5]]
        raise Stop("layout", f"{len(content)} records, {', '.join(found)}; needed {', '.join(sorted(wanted))}")


def _check_stamp(stamp: Mapping[str, Any], expected: Expectation) -> None:
    schema = stamp.get("schema")
    name, _, version = schema.rpartition("/") if isinstance(schema, str) else ("", "", "")
    if name != _NAME or version.partition(".")[0] != _MAJOR:
        raise Stop("schema", f"schema {shown(schema)}; this program speaks {SCHEMA}")
    agreed: list[tuple[str, Reason, Any]] = [
        ("site", "wrong_site", expected.site),
        ("round", "wrong_round", expected.round),
        ("base", "stale_base", expected.base),
        ("config_sha256", "wrong_config", expected.config_sha256),
    ]
    for key, reason, value in agreed:
        given = stamp.get(key)
        if type(given) is not type(value) or given != value:  # True == 1 == 1.0
            raise Stop(reason, f"{key} {shown(given)}; expected {value!r}")


def _tally(report: Mapping[str, Any], expected: Expectation) -> tuple[Tally | None, Note | None]:
    """Claims that the profile and the value function allow; else none, and why."""
    columns = {key: value for key, value in report.items() if key.startswith(("value.", "share."))}
    asked, measured = expected.contributions, expected.measured
    if asked is None or measured is None:
        return None, Note("claim", "this run does not ask sites for contributions") if columns else None
    try:
        return read_tally(columns, asked, measured, expected.modalities, expected.claim_slack), None
    except Claim as claim:
        return None, Note("claim", str(claim))
    except Exception as error:  # a claim is dropped whatever is wrong with it; the update is not to blame
        return None, Note("claim", where(error))


def _metrics(report: Mapping[str, Any], expected: Expectation) -> tuple[Metrics, Note | None]:
    """Scores, losses and seconds; all dropped if one is bad."""
    try:
        return read_metrics(report, expected), None
    except Stop as stop:
        return Metrics(), Note("metric", stop.detail)
    except Exception as error:
        return Metrics(), Note("metric", where(error))


def _scored(
    report: Mapping[str, Any], metrics: Metrics, expected: Expectation
) -> tuple[ScoredRows | None, Note | None]:
    """Sums of the site's own test rows; dropped if one is bad, or if its scores were."""
    if expected.due is None:
        strangers = any(key.startswith("test.") for key in report)
        return None, Note("metric", "this run does not ask sites for sums of test rows") if strangers else None
    try:
        return read_tested(report, metrics.cells, expected.due), None
    except Stop as stop:
        return None, Note("metric", stop.detail)
    except Claim as claim:
        return None, Note("claim", str(claim))
    except Exception as error:
        return None, Note("metric", where(error))
