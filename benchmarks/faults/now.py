"""Figures that take seconds: measured whenever the command runs."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.faults.row import Row, judged

KILLS, FUZZED, LOGS = 60, 1_000, 1_000


def bad_replies() -> list[Row]:
    """G1, G2: the 42 kinds, after the good replies and before them."""
    from tests.faults.table_2_1 import outcomes

    found = [outcome for first in (False, True) for outcome in outcomes(first)]
    kinds, how = len({o.kind.number for o in found}), "each kind after the good replies and before them"
    ends = len({o.kind.number for o in found if o.ends})
    poisons = len({o.kind.number for o in found if o.poisons})
    return [
        Row("G1", "bad-reply kinds that end the run", "0", f"{ends} of {kinds}", how, judged(ends == 0)),
        Row(
            "G2",
            "kinds that poison the model or buy weight without a word",
            "0",
            f"{poisons} of {kinds}",
            f"{how}; model against the round without that site, bitwise",
            judged(poisons == 0),
        ),
    ]


def gate_time() -> list[Row]:
    """G3."""
    from benchmarks.gate import gate_cost

    figure = gate_cost()[0]
    reached = f"{figure.value:.1f} ms"
    return [Row("G3", "CPU of the gate per reply of 25 MB", "<= 30 ms", reached, "median of 20", judged(figure.ok))]


def fuzz(examples: int = FUZZED) -> list[Row]:
    """G4."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    from tests.faults.test_U_gate_fuzz import UNHURRIED, check

    raised = ""
    try:
        settings(max_examples=examples, database=None, **UNHURRIED)(given(data=st.data())(check))()  # type: ignore[arg-type]
    except Exception as error:
        raised = type(error).__name__
    reached = f"{raised} within {examples:,}" if raised else f"0 of {examples:,} raised"
    verdict = judged(not raised, whole=examples >= 10_000)
    goal = "0 of >= 10,000 per push, 100,000 per night"
    return [Row("G4", "fuzzed replies with an exception leaving the gate", goal, reached, "hypothesis", verdict)]


def kills(wanted: int = KILLS) -> list[Row]:
    """G5: SIGKILL at random moments, and at each of the eleven points of a round."""
    from tests.faults import test_R_kills as r
    from tests.faults.fake_run import content_of, opened, undisturbed
    from tests.faults.killed import POINTS, in_child, kill_at_random, quick_folder

    truth, draw, hits, runs, other = undisturbed(r.ROUNDS, r.LAST_SIZE)[r.ROUNDS], random.Random(5), 0, 0, 0

    def judge(state: Path) -> int:
        folder = opened(state)
        same = (folder.round, content_of(folder)) == (r.ROUNDS, truth)
        folder.close("checked")
        return not same

    with tempfile.TemporaryDirectory() as made, quick_folder(Path(made)) as place:
        for point in POINTS:
            state = place / f"at-{point}"
            hits += in_child(lambda s=state: r.whole_run(s), f"{point}@3") == r.KILLED  # type: ignore[misc]
            in_child(lambda s=state: r.whole_run(s))  # type: ignore[misc]
            other += judge(state)
        while hits < wanted:
            state, runs = place / f"random-{runs}", runs + 1
            hits += kill_at_random(lambda s=state: r.whole_run(s), 12, 0.03, draw)  # type: ignore[misc]
            other += judge(state)
    reached = f"{hits} SIGKILLs in {runs + len(POINTS)} runs, {other} ended in other bytes"
    verdict = judged(other == 0, whole=hits >= 300)
    return [
        Row("G5", "kills survived with equal bytes", "all of >= 300", reached, "forked child, 6 commits each", verdict)
    ]


def power() -> list[Row]:
    """G6."""
    from tests.faults.ram import Ram
    from tests.faults.test_R_power import cut_power

    tally = cut_power(Ram(), 3)
    reached = f"{tally.disks} disks: {tally.torn} torn, {tally.lost} lost, {tally.bad - tally.torn - tally.lost} refused or wrong"
    how = "every disk that a cut may leave in a run of 3 rounds"
    return [Row("G6", "power-loss prefixes replayed", "all, 0 bad", reached, how, judged(tally.bad == 0))]


def absences() -> list[Row]:
    """G8 and G9, under a clock that passes only while somebody waits."""
    from server.exchange import Wait
    from tests.faults.test_S_attendance import deadlines_missed
    from tests.server.test_exchange import came

    dead = deadlines_missed(50, lambda _: "late", answers_probes=False)
    hangs = max(deadlines_missed(50, lambda _: "late", answers_probes=True, seed=seed) for seed in range(100))
    draw = random.Random(9)
    over = max(
        came({}, Wait(deadline, poll_s=poll_s))[1] - deadline - poll_s
        for deadline, poll_s in ((draw.uniform(0.1, 900.0), draw.choice([0.5, 2.0])) for _ in range(200))
    )
    what = "deadlines that a dead and an always hanging site cost in 50 rounds"
    reached = f"{dead} / {hangs}"
    beyond = f"{max(over, 0.0):.3f} s beyond deadline + poll"
    return [
        Row("G8", what, "1 / 6", reached, "100 seeds of the jitter, the most", judged(dead <= 1 and hangs <= 6)),
        Row("G9", "overshoot of a deadline", "<= 1 s + poll", beyond, "200 rounds, the most", judged(over <= 1.0)),
    ]


def liar() -> list[Row]:
    """G11."""
    from tests.faults.holders import config, shares
    from tests.faults.test_U_claims import BOUNDED, claims

    server = shares(3, config(**BOUNDED, aggregation__claims__cap_self=2.0), claims=claims(3))
    own = shares(3, config(**BOUNDED), claims=claims(3))
    reached = f"{server:.1f} % (self claims {own:.1f} %)"
    holds = round(server) <= 48 and round(own) <= 38
    goal, how = "<= 48 % (self claims 38 %)", "claims of ten times as much, to the per cent; honest 33 %"
    return [Row("G11", "share that one liar gets of 3 equal holders", goal, reached, how, judged(holds))]


def leaks() -> list[Row]:
    """G16, G17: the probe at the default floors."""
    from fedmce.cli.compose import load_config
    from fedmce.privacy.probe import Probe, run_probe

    floors = load_config(["privacy=floors"]).privacy
    least, sd = floors.min_rows, floors.noise_sd
    result = run_probe(Probe(rows=(1, least), noise=(0.0, sd), seeds=10, floors=floors, own=False))

    def value(table: str, rows: int, noise: float) -> float:
        cell = result.at(table, rows, noise, "dense")
        return cell.value if cell is not None else float("nan")

    plain, noised = value("read_out", least, 0.0), value("read_out", least, sd)
    told = max(value("membership", least, 0.0), value("membership", least, sd))
    how = f"10 seeds at {least} rows"
    single = f"at 1 row {100 * value('read_out', 1, 0.0):.0f} %"
    auc = f"at 1 row {value('membership', 1, 0.0):.2f}"
    read = f"{100 * plain:.1f} %, with noise {100 * noised:.1f} % ({single})"
    goal = "<= 15 % at the floor, 0 with noise"
    holds = plain <= 0.15 and noised == 0.0
    return [
        Row("G16", "rows recovered by read-out", goal, read, how, judged(holds)),
        Row("G17", "AUC of membership at the floor", "<= 0.75", f"{told:.2f} ({auc})", how, judged(told <= 0.75)),
    ]


def cases() -> list[Row]:
    """G18."""
    from tests.faults.cases import DOCUMENT, collect, files, places
    from tests.faults.cases import cases as listed

    where = places(collect(files()))
    known = [case.number for case in listed(DOCUMENT.read_text(encoding="utf-8"))]
    tested = sum(number in where for number in known)
    share = tested / len(known)
    how = "docs/faults.md against the collected tests"
    reached = f"{tested} of {len(known)} ({100 * share:.1f} %)"
    return [Row("G18", "fault cases automated", ">= 95 %", reached, how, judged(share >= 0.95))]


def audit_edits() -> list[Row]:
    """G22."""
    from fedmce.audit import judge
    from tests.faults.test_F_audit import edited, made_log

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "audit.jsonl"
        head, draw, done, found = made_log(path), random.Random(22), 0, 0
        data = path.read_bytes()
    while done < LOGS:
        if (changed := edited(data, draw)) != data:
            done += 1
            found += not judge(changed.splitlines(keepends=True), [head]).is_whole
    reached = f"{found:,} of {done:,}"
    return [Row("G22", "edits of the audit log found", "all of 1,000", reached, "random edits", judged(found == done))]


def sites() -> list[Row]:
    """G20."""
    from tests.faults.load import measured

    found = measured("sites", 1000)
    holds = found["accepted"] == 1000 and found["seconds"] < 60 and found["peak_mb"] < 2048
    reached = f"{found['seconds']:.1f} s, {found['peak_mb']:,.0f} MB"
    how = f"{found['accepted']:,} replies of {found['reply_mb']:.1f} MB, CPU time and peak of a process of its own"
    goal = "1,000 x 1 MB per round < 60 s, < 2 GB"
    return [Row("G20", "sites held, in process", goal, reached, how, judged(holds))]


QUICK: dict[str, Callable[[], list[Row]]] = {
    "G1 G2": bad_replies,
    "G3": gate_time,
    "G4": fuzz,
    "G5": kills,
    "G6": power,
    "G8 G9": absences,
    "G11": liar,
    "G16 G17": leaks,
    "G18": cases,
    "G20": sites,
    "G22": audit_edits,
}
