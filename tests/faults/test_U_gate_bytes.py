"""The gate on replies made by hand: hostile bytes, sizes and names, and the time that they may take."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from flwr.app import Array

from fedmce.config.schema import ContributionsConfig
from fedmce.flower_compat import ArrayRecord, array_record, npy_header
from server.gate import Accepted, Refused, RoundGate, Sent, gate
from server.gate.size import content_bytes, most_bytes
from server.gate.verdicts import LONGEST_DETAIL, shown
from server.roster import RowCounts
from tests.faults.made_replies import answer, asked, honest, message, model, moved, records

SMALL = model({"encoder.a": 6, "fusion": 4})
LARGE = model({"encoder.a": 800_000, "fusion": 4})  # 26 MB: a header of a megabyte stays within a twentieth


def seconds(work: Any, times: int = 3) -> float:
    """Least CPU time of some tries: what other processes take is not ours."""
    found = []
    for _ in range(times):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return min(found)


def with_bytes(sent: Sent, key: str, data: bytes) -> Any:
    update = array_record(moved(dict(sent.expected.sent), 1))
    update[key] = Array("float32", sent.expected.shapes[key], "numpy.ndarray", data)
    return answer(sent, records(sent, update))


def npy(header: bytes, values: bytes, version: int) -> bytes:
    width = 2 if version == 1 else 4
    return b"\x93NUMPY" + bytes((version, 0)) + len(header).to_bytes(width, "little") + header + values


@pytest.mark.parametrize(
    "header", [b" " * (1 << 20), b"[" * 100_000, b"{'descr': " + b"(" * 100_000], ids=["blanks", "brackets", "tuples"]
)
def test_U17_a_long_header_costs_next_to_nothing(header: bytes) -> None:
    sent = asked("a", 2, LARGE)
    reply = with_bytes(sent, "encoder.a/w", npy(header, LARGE["encoder.a/w"].tobytes(), version=2))
    verdict = gate(reply, sent.expected)
    assert isinstance(verdict, Refused)
    assert verdict.reason == "header"
    assert seconds(lambda: gate(reply, sent.expected)) < 0.01


@pytest.mark.parametrize(
    "text",
    [
        "{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n",
        "{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}" + " " * 300 + "\n",
        "{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}",
    ],
)
@pytest.mark.parametrize("version", [1, 2])
def test_U17_what_another_numpy_pads_otherwise_is_read(text: str, version: int) -> None:
    sent = asked("a", 2, SMALL)
    fresh = moved(SMALL, 1)
    data = npy(text.format(shape=SMALL["fusion/w"].shape).encode(), fresh["fusion/w"].tobytes(), version)
    verdict = gate(with_bytes(sent, "fusion/w", data), sent.expected)
    assert isinstance(verdict, Accepted)
    np.testing.assert_array_equal(verdict.update["fusion/w"], fresh["fusion/w"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 8), 'x': 1}", "header"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 8, ), }", "header"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (-4, 8), }", "header"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4.0, 8), }", "header"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 8), }#", "header"),
        ("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (4, 8), }", "header"),
        ("{'descr': '<f4', 'fortran_order': True, 'shape': (4, 8), }", "header"),
        ("{'descr': '=f4', 'fortran_order': False, 'shape': (4, 8), }", "dtype"),
        ("{'descr': '|O', 'fortran_order': False, 'shape': (4, 8), }", "dtype"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (32,), }", "shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (999999999999, 8), }", "shape"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1" * 3000 + "), }", "header"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (" + "1, " * 1000 + "), }", "header"),
    ],
)
def test_U17_a_header_is_read_strictly(text: str, reason: str) -> None:
    sent = asked("a", 2, SMALL)
    reply = with_bytes(sent, "fusion/w", npy(text.encode(), SMALL["fusion/w"].tobytes(), version=1))
    verdict = gate(reply, sent.expected)
    assert isinstance(verdict, Refused)
    assert verdict.reason == reason
    assert seconds(lambda: gate(reply, sent.expected)) < 0.01


@pytest.mark.parametrize(("size", "reason"), [(4096, None), (4097, "header")])
def test_U17_a_header_has_four_kibibytes_at_most(size: int, reason: str | None) -> None:
    text = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 8), }"
    sent = asked("a", 2, SMALL)
    data = npy(f"{text:<{size - 1}}\n".encode(), SMALL["fusion/w"].tobytes(), version=1)
    verdict = gate(with_bytes(sent, "fusion/w", data), sent.expected)
    assert (verdict.reason if isinstance(verdict, Refused) else None) == reason


def test_U17_the_fast_path_is_the_header_that_is_written() -> None:
    sent = asked("a", 2, SMALL)
    data = array_record(SMALL)["fusion/w"].data
    assert data.startswith(npy_header("float32", (4, 8)))
    verdict = gate(answer(sent, records(sent, SMALL)), sent.expected)
    assert isinstance(verdict, Accepted)
    assert not verdict.update["fusion/w"].flags.writeable  # a view of the message's bytes


def test_U23_components_that_were_left_out_are_named() -> None:
    sent = asked("a", 2, SMALL)
    update = {key: value for key, value in moved(SMALL, 1).items() if key.startswith("fusion")}
    verdict = gate(answer(sent, records(sent, update)), sent.expected)
    assert isinstance(verdict, Accepted)
    assert verdict.left_out == {"encoder.a"}
    assert verdict.rows == {"encoder.a": 0, "fusion": 40}


@pytest.mark.parametrize("base", [SMALL, LARGE], ids=["one window", "several windows"])
def test_U06_the_length_of_a_change_is_measured_to_the_limit(base: Any) -> None:
    fresh = moved(base, 1)
    keys = [key for key in base if key.startswith("encoder.a/")]
    length = np.sqrt(sum(np.square(fresh[key].astype(float) - base[key]).sum() for key in keys))
    for limit, expected in ((1.0001 * length, {}), (0.9999 * length, {"encoder.a": "norm"})):
        sent = asked("a", 2, base, norm_limits={"encoder.a": limit})
        verdict = gate(answer(sent, records(sent, fresh)), sent.expected)
        assert isinstance(verdict, Accepted)
        assert verdict.set_aside == expected


@pytest.mark.parametrize("place", [0, 300_000, -1])
@pytest.mark.parametrize(("number", "reason"), [(np.nan, "nonfinite"), (-1.1e4, "magnitude")])
def test_U01_every_window_is_looked_at(place: int, number: float, reason: str) -> None:
    sent = asked("a", 2, LARGE)
    fresh = moved(LARGE, 1)
    fresh["encoder.a/w"].flat[place] = number
    verdict = gate(answer(sent, records(sent, fresh)), sent.expected)
    assert isinstance(verdict, Refused)
    assert (verdict.reason, verdict.component) == (reason, "encoder.a")


def test_U06_what_is_told_of_a_component_goes_with_it() -> None:
    """Control variates of a change that is set aside would carry it into the next round."""
    told = {key: value.shape for key, value in SMALL.items()} | {"prototype.a": (2,)}
    arrays = array_record({key: np.zeros(shape, np.float32) for key, shape in told.items()})
    for limit, expected in ((10.0, set(told)), (0.5, {"encoder.a/w", "encoder.a/b", "prototype.a"})):
        sent = asked("a", 2, SMALL, told=told, norm_limits={"fusion": limit})
        verdict = gate(answer(sent, records(sent, moved(SMALL, 1)) | {"shared": arrays}), sent.expected)
        assert isinstance(verdict, Accepted)
        assert set(verdict.told) == expected


def test_U30_the_floor_is_the_least_that_counts() -> None:
    for rows, expected in ((9, {"fusion": "count_range"}), (10, {})):
        sent = asked("a", 2, SMALL, floor=10)
        verdict = gate(honest(sent, rows__fusion=rows), sent.expected)
        assert isinstance(verdict, Accepted)
        assert verdict.set_aside == expected


@pytest.mark.parametrize("names", ["as sent", "unknown"])
def test_U56_very_many_names_take_linear_time(names: str) -> None:
    """As many names as agreed upon, or as many against a model of few."""

    def cost(count: int) -> float:
        many = {f"encoder.a/{n:06d}": np.ones(1, np.float32) for n in range(count)}
        sent = asked("a", 2, many if names == "as sent" else SMALL)
        reply = answer(sent, records(sent, {key: value + 1 for key, value in many.items()}))
        verdict = RoundGate([sent]).judge(reply)[1]
        if names == "as sent":
            assert isinstance(verdict, Accepted)
        else:
            assert isinstance(verdict, Refused)
            assert verdict.reason == "too_large"
        return seconds(lambda: RoundGate([sent]).judge(reply))

    few, many = cost(25_000), cost(100_000)
    assert many < 2.0  # half a second on an idle core
    assert many < 8 * few + 0.05


def test_U57_twenty_times_the_size_is_refused_before_an_array_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    import server.gate.judge

    def never(*given: Any) -> Any:
        raise AssertionError("an array was read")

    monkeypatch.setattr(server.gate.judge, "read_update", never)
    sent = asked("a", 2, SMALL)
    most = most_bytes(sent.expected)
    for update in (
        {key: np.zeros(20 * max(value.size, most), np.float32) for key, value in SMALL.items()},
        {f"encoder.a/{n}": np.zeros(64, np.float32) for n in range(most)},
        {"x" * 2 * most: np.zeros(1, np.float32)},
    ):
        verdict = gate(answer(sent, records(sent, update)), sent.expected)
        assert isinstance(verdict, Refused)
        assert verdict.reason == "too_large"


def test_U57_a_twentieth_more_than_due_is_looked_at() -> None:
    sent = asked("a", 2, LARGE)
    whole = content_bytes(answer(sent, records(sent, LARGE)).content)
    assert whole < most_bytes(sent.expected) < 1.06 * whole + 65_536


def test_U57_what_an_honest_site_measures_is_not_too_large() -> None:
    """Eight modalities, every pattern: 6,561 cells of values in five columns."""
    patterns = dict.fromkeys(range(1, 256), 1)
    sizes = {(m, k): 1 for m in range(8) for k in range(1, 9)}
    sent = asked("a", 2, SMALL, contributions=ContributionsConfig(), measured=RowCounts(patterns, sizes), modalities=8)
    cells = sum(1 << code.bit_count() for code in patterns)
    numbers = {f"value__{name}": [1.0] * cells for name in ("pattern", "subset", "total", "square", "rows")}
    verdict = gate(honest(sent, **numbers), sent.expected)
    assert isinstance(verdict, Accepted)
    assert [note.reason for note in verdict.notes] == ["claim"]


def test_U59_the_gate_takes_no_more_memory_than_the_reply() -> None:
    sent = asked("a", 2, LARGE)
    reply = honest(sent)
    size = sum(value.nbytes for value in LARGE.values())
    for given in (reply, with_bytes(sent, "encoder.a/w", b"\0" * size)):
        gate(given, sent.expected)
        tracemalloc.start()
        gate(given, sent.expected)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < size / 2


def test_L02_fifteen_hundred_small_replies_a_second() -> None:
    """Some 5,000 on an idle core (``make bench ARGS=gate``); CPU time, and room for a loaded one."""
    base = model({f"part.{n}": 72 for n in range(4)})  # 8 arrays, 9.4 kB
    sent = [asked(f"s{n:03d}", n + 2, base) for n in range(300)]
    replies = [honest(one, n) for n, one in enumerate(sent)]

    def judge_all() -> None:
        judged = RoundGate(sent, refuse_copies=True)
        for reply in replies:
            assert isinstance(judged.judge(reply)[1], Accepted)

    assert len(replies) / seconds(judge_all) > 1500


def test_L07_twelve_modalities_are_not_a_matter_of_subsets() -> None:
    """Claims of twelve modalities are shares per modality and size; nothing is listed per subset."""

    def cost(modalities: int) -> float:
        sizes = {(m, k): 1 for m in range(modalities) for k in range(1, modalities + 1)}
        base = model({f"encoder.{n}": 4 for n in range(modalities)})
        sent = asked(
            "a",
            2,
            base,
            modalities=modalities,
            contributions=ContributionsConfig(estimator="antithetic", budget=64),
            measured=RowCounts(None, sizes),
        )
        shares = {
            "share__modality": [m for m, _ in sizes],
            "share__size": [k for _, k in sizes],
            "share__rows": [1 for _ in sizes],
            "share__total": [0.1 for _ in sizes],
            "share__square": [0.1 for _ in sizes],
        }
        reply = honest(sent, **shares)
        verdict = gate(reply, sent.expected)
        assert isinstance(verdict, Accepted)
        assert verdict.tally is not None
        return seconds(lambda: gate(reply, sent.expected))

    assert cost(12) < 12 * cost(6) + 0.01
    assert cost(12) < 0.05


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("encoder.a", "'encoder.a'"),
        ("a\nb", "a text of 3 characters"),
        ("\x1b[31m", "a text of 5 characters"),
        ("patient 4711", "a text of 12 characters"),
        ("x" * 81, "a text of 81 characters"),
        (True, "True"),
        (None, "None"),
        (float("nan"), "nan"),
        (-5, "-5"),
        (10**100, "a number of 333 bits"),
        ([1, 2], "list of 2"),
        (b"abc", "bytes"),
    ],
)
def test_what_a_log_may_show_of_a_reply(given: Any, said: str) -> None:
    assert shown(given) == said


def test_no_detail_holds_text_of_a_reply() -> None:
    """A canary with a blank at every place where a reply can hold text."""
    canary = "patient 4711"
    sent = asked("a", 2, SMALL)
    good = records(sent, moved(SMALL, 1))
    for name in ("schema", "site", "round", "base", "config_sha256"):
        spoiled = dict(good)
        spoiled["stamp"] = type(good["stamp"])(dict(good["stamp"]) | {name: canary})
        _lacks(gate(answer(sent, spoiled), sent.expected), canary)
    for key in (canary, f"fusion/{canary}", f"{canary}/w"):
        update = array_record(moved(SMALL, 1))
        update[key] = Array(np.zeros(1, np.float32))
        _lacks(gate(answer(sent, records(sent, update)), sent.expected), canary)
    for key in (canary, f"rows.{canary}", f"loss.{canary}", f"score.{canary}.total", f"value.{canary}"):
        _lacks(gate(honest(sent, **{key: 1.0}), sent.expected), canary)
    for change in ({"stype": canary}, {"dtype": canary}):
        update = array_record(moved(SMALL, 1))
        for name, value in change.items():
            setattr(update["fusion/w"], name, value)
        _lacks(gate(answer(sent, records(sent, update)), sent.expected), canary)
    _lacks(gate(answer(sent, good | {canary: ArrayRecord()}), sent.expected), canary)


def _lacks(verdict: Accepted | Refused, canary: str) -> None:
    told = [verdict.detail] if isinstance(verdict, Refused) else [note.detail for note in verdict.notes]
    assert told
    assert all(canary not in detail and len(detail) <= LONGEST_DETAIL for detail in told), told


def test_an_empty_round_judges_strangers() -> None:
    judged = RoundGate([])
    stranger = asked("a", 2, SMALL)
    site, verdict = judged.judge(honest(stranger))
    assert site is None
    assert isinstance(verdict, Refused)
    assert verdict.reason == "unknown_node"
    assert judged.verdicts() == {}


def test_a_flood_of_strays_is_not_remembered() -> None:
    sent, strange = asked("a", 2, SMALL), message(9)
    judged = RoundGate([sent])
    reply = answer(Sent(strange, sent.expected), {})
    for _ in range(2500):
        judged.judge(reply)
    assert len(judged.strays) == 1000
    assert judged.waiting == ("a",)


def test_a_reply_after_the_round_has_closed_is_late() -> None:
    sent = [asked("a", 2, SMALL), asked("b", 3, SMALL)]
    judged = RoundGate(sent, closes=10.0)
    assert isinstance(judged.judge(honest(sent[0]), now=10.0)[1], Accepted)
    verdict = judged.judge(honest(sent[1]), now=10.5)[1]
    assert isinstance(verdict, Refused)
    assert verdict.reason == "late"
    assert judged.waiting == ()
