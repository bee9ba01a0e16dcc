"""Sites that hang, die, come back, wait, change their key or lose it, in one federation of real processes.

The tests run in their order; each waits for what it needs and leaves a federation that goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from fedmce.audit import verify
from simulations.processes import runs
from tests.faults.federation import Federation, type_in

pytestmark = [pytest.mark.processes, pytest.mark.timeout(1800)]

DEADLINE_S, POLL_S = 45.0, 0.5
SLOW_S = 10.0  # that a loaded machine may add
LONG_S = 600.0  # on a machine that does much else
HOUR_S = 3600.0
FAKETIME = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)


@dataclass
class Storm:
    """A round in which three of four sites fail, each in its own way, while the server's clock jumps.

    Attributes:
        row: of the round.
        nodes: node id of each site before it.
        hung: processes of the training that hangs.
        seconds: from its question to its row, by this process's clock.
    """

    row: dict[str, Any]
    nodes: dict[str, int]
    hung: list[int]
    seconds: float

    @property
    def number(self) -> int:
        return int(self.row["round"])


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """File that the server's process reads its wall clock from."""
    path = tmp_path_factory.mktemp("clock") / "clock"
    path.write_text("+0\n")
    return path


@pytest.fixture(scope="module")
def f(tmp_path_factory: pytest.TempPathFactory, clock: Path) -> Iterator[Federation]:
    """Three sites wait for the server, then it and the fourth start."""
    folder = tmp_path_factory.mktemp("c") / "f"
    plan = [f"exchange.deadline_s={DEADLINE_S:g}", f"exchange.poll_s={POLL_S}", "exchange.wait_sites_s=600"]
    made = Federation(folder, sites=4, rounds=200, proxied=False, overrides=plan)
    try:
        for name in ("ash", "birch", "cedar"):
            made.site(name).start()
        soon(lambda: all("waiting for the server" in made.site(n).log for n in ("ash", "birch", "cedar")))
        made.server.start(**(faked(clock) if FAKETIME else {}))
        made.site("dale").start()
        made.await_round(2, 2 * LONG_S)
        yield made
    finally:
        made.end()


@pytest.fixture(scope="module")
def storm(f: Federation, clock: Path) -> Storm:
    sick = [f.site(name) for name in ("ash", "birch", "cedar")]
    f.await_round(f.done + 1)
    nodes = nodes_of(f)
    for site, mode in zip(sick, ("stubborn", "sleep", "sleep"), strict=True):
        site.misbehave(mode)
    # None of them answers soon, so that all three hang in one round.
    f.await_that(lambda: not any(site.mode.exists() for site in sick), LONG_S, "three trainings that hang")
    ask = f.audit("ask")[-1]
    number = int(ask["round"])
    hung = [process.pid for process in f.site("ash").processes("client.worker.trainer")]
    node = f.site("birch").processes("flower-supernode")[0]
    node.kill()
    f.site("cedar").kill()
    clock.write_text(f"+{HOUR_S:g}\n")
    f.await_that(lambda: number in [row["round"] for row in f.rows("round")], LONG_S, "the end of the round")
    seconds = time.monotonic() - float(ask["t_mono"])
    clock.write_text("+0\n")
    return Storm(f.round(number), nodes, hung, seconds)


def test_C19_sites_that_start_before_the_server_wait_for_it_and_take_part(f: Federation) -> None:
    for name in ("ash", "birch", "cedar"):
        assert "waiting for the server" in f.site(name).log
        f.await_that(lambda: "accepted" in f.verdicts(name).values(), LONG_S, name)  # noqa: B023 - at once
        assert "Traceback" not in f.site(name).log


def test_C06_a_training_that_hangs_in_c_deaf_to_sigterm_is_answered_for_and_killed(storm: Storm, f: Federation) -> None:
    told = storm.row["sites"]["ash"]
    # Its word has 15 s to come, which is not enough on a machine that does much else: test_C_worker.py is strict there.
    assert told["verdict"] == "late" or (told["verdict"] == "site_error" and "timeout" in told["detail"]), told
    assert storm.hung
    f.await_that(lambda: not any(runs(pid) for pid in storm.hung), LONG_S, "the end of what hangs")


def test_C10_two_silent_sites_cost_one_deadline_and_the_dead_one_is_not_asked_again(
    storm: Storm, f: Federation
) -> None:
    for dead in ("birch", "cedar"):
        assert storm.row["sites"][dead]["verdict"] in ("late", "transport")  # Flower may answer for a node it misses
    assert storm.row["sites"]["dale"]["verdict"] == "accepted"
    assert not storm.row["void"]
    overshoot = storm.row["timing"]["wait_s"] - DEADLINE_S
    assert overshoot <= 1 + POLL_S + SLOW_S  # below 0 where Flower answered for both
    f.await_round(storm.number + 2, LONG_S)
    later = [row for row in f.rows("round") if row["round"] > storm.number]
    assert all("cedar" not in row["asked"] for row in later)
    assert all(row["timing"]["wait_s"] < DEADLINE_S for row in later if "ash" not in row["asked"])


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed (Debian: libfaketime)")
def test_F11_a_clock_that_steps_by_an_hour_neither_ends_nor_stretches_a_round_and_shows_in_the_log(
    storm: Storm, f: Federation
) -> None:
    assert abs(storm.seconds - storm.row["timing"]["wait_s"]) < DEADLINE_S / 2
    lines = f.audit()
    ask = next(n for n, line in enumerate(lines) if (line["kind"], line["round"]) == ("ask", storm.number))
    reply = next(n for n, line in enumerate(lines) if n > ask and line["kind"] == "reply")
    apart = [lines[reply][t] - lines[ask][t] for t in ("t_wall", "t_mono")]
    assert apart[0] - apart[1] == pytest.approx(HOUR_S, abs=5)
    last = f.audit("commit")[-1]
    if last["round"] > storm.number + 1:  # and back
        assert last["t_wall"] < lines[reply]["t_wall"]


def test_C03_a_dead_trainer_is_known_to_the_server_within_seconds(
    storm: Storm, f: Federation, record_property: Callable[[str, object], None]
) -> None:
    site = f.site("dale")
    site.misbehave("kill")
    f.await_that(lambda: not site.mode.exists(), LONG_S, "the training that dies")
    died, number = time.time(), f.asked
    f.await_round(number, LONG_S)
    told = f.round(number)["sites"]["dale"]
    assert told["verdict"] == "site_error"
    assert "crashed" in told["detail"]
    sent = [float(line["t_wall"]) for line in f.audit("ask") if line["round"] == number][-1]
    known = sent + f.round(number)["timing"]["answered_s"]["dale"] - died
    record_property("G7", known)
    assert known < DEADLINE_S
    f.await_that(lambda: f.verdicts("dale").get(f.done) == "accepted", LONG_S, "dale's next round")


def test_C09_a_supernode_killed_in_training_comes_back_as_the_same_node_and_answers(
    storm: Storm, f: Federation
) -> None:
    f.await_back("birch", storm.number, LONG_S)
    assert nodes_of(f)["birch"] == storm.nodes["birch"]


def test_S09_a_known_name_with_another_key_is_refused_until_an_operator_readmits_it(
    storm: Storm, f: Federation
) -> None:
    before = nodes_of(f)["cedar"]
    type_in("server", "kit", "cedar", "--keys", "here", "--dir", str(f.project))
    f.site("cedar").start()
    f.await_that(lambda: "cedar' came back with another key" in str(turned_away(f)), LONG_S, "the refusal")
    assert "fedmce server readmit cedar" in str(turned_away(f))
    number = f.done
    assert f.later("cedar", storm.number) == []
    type_in("server", "readmit", "cedar", "--dir", str(f.project))
    f.await_back("cedar", number, LONG_S)
    f.await_that(lambda: nodes_of(f)["cedar"] != before, LONG_S, "the commit of its round")
    assert [line["site"] for line in f.audit("readmit")] == ["cedar"]
    assert "cedar" in type_in("server", "status", "--dir", str(f.project))


def test_T07_a_key_that_is_revoked_while_the_server_runs_sends_nothing_more(storm: Storm, f: Federation) -> None:
    site = f.site("dale")
    f.await_round(f.done + 1, LONG_S)
    site.misbehave("sleep")  # a message is on its way: its answer is not taken either
    f.await_that(lambda: not site.mode.exists(), LONG_S, "a training of dale's")
    number = f.asked
    type_in("server", "revoke", "dale", "--dir", str(f.project))
    f.await_that(lambda: "dale was revoked" in f.server.log, LONG_S, "the word of the server")
    f.await_round(number + 2, LONG_S)
    assert "accepted" not in f.later("dale", number - 1)
    assert "dale" not in f.round(number + 2)["asked"]
    assert "dale" in f.round(number + 2)["expelled"]
    assert [line["site"] for line in f.audit("key_revoke")] == ["dale"]
    others = ("ash", "birch", "cedar")
    f.await_that(lambda: any("accepted" in f.later(name, number) for name in others), LONG_S, "the others' rounds")
    told = json.loads(type_in("server", "status", "--json", "--dir", str(f.project)))["sites"]
    assert told["dale"]["standing"] == "no key that counts"
    f.await_that(lambda: "the key SHA256:" in site.log, LONG_S, "dale's being told")


def test_C19_after_all_of_it_the_log_is_sound_and_no_round_was_taken_twice(storm: Storm, f: Federation) -> None:
    assert f.server.stop() == 0
    verify(f.run / "state" / "log" / "audit.jsonl")
    rounds = [line["round"] for line in f.audit("commit")]
    assert rounds == list(range(1, len(rounds) + 1))
    f.end()
    left = [p.pid for p in psutil.process_iter() if str(f.folder) in " ".join(command(p))]
    assert left == []


def faked(clock: Path) -> dict[str, str]:
    """Environment of a server whose wall clock is a file; what waits by another clock is not touched."""
    return {
        "FEDMCE_TEST_CLOCK": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def soon(law: Any) -> None:
    end = time.monotonic() + LONG_S
    while not law():
        assert time.monotonic() < end
        time.sleep(0.1)


def nodes_of(f: Federation) -> dict[str, int]:
    """Flower's id of every site's node, as committed."""
    newest = max(path for path in (f.run / "state" / "rounds").iterdir() if path.name.isdigit())
    tree = json.loads((newest / "roster.json").read_text())
    return {site: int(profile["node_id"]) for site, profile in tree["sites"].items()}


def turned_away(f: Federation) -> list[str]:
    return [why for row in f.rows("round") for why in row.get("turned_away", ())]


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
