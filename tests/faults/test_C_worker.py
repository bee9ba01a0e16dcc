"""A training that does the worst to its process, behind a real site worker (reliability.md 4.6, group C)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from client.app import app
from client.worker.family import marked
from fedmce.flower_compat import Context, Message, RecordDict, pack
from fedmce.site_errors import number_of
from tests.faults.worker_site import Site, gone, said, site, soon

pytestmark = pytest.mark.slow

CANARY = "patient-4711-canary"
KNOWN_S = 10.0  # G7: from the crash of a client to the server's knowing
LATE_S = 6.0  # of the 15 s between a site's budget and the deadline
START_S = 120.0  # of a trainer, on a machine that does much else


@pytest.fixture(scope="module")
def at() -> Iterator[Site]:
    """A site whose worker is warm; each test leaves one that answers."""
    with tempfile.TemporaryDirectory(prefix="fw") as folder, site(Path(folder) / "s") as made:
        assert not made.ask(made.profile(START_S)).has_error(), made.log
        yield made


@pytest.fixture
def honest(at: Site) -> bytes:
    """What the site says when nothing is wrong, to the byte; the worker is warm then."""
    reply = at.ask(at.train(budget_s=START_S))
    assert not reply.has_error(), at.log
    return update_of(reply)


def update_of(reply: Message) -> bytes:
    arrays = reply.content.array_records["update"]
    return b"".join(key.encode() + arrays[key].data for key in sorted(arrays))


def bytes_of(reply: Message) -> bytes:
    return pack(reply, Context(0, 0, {}, RecordDict(), {}))


def asked(at: Site, mode: str, budget_s: float = 60.0) -> tuple[Message, float]:
    """A reply to a round that goes wrong, and the seconds until it was there."""
    at.misbehave(mode)
    message = at.train(budget_s=budget_s)
    began = time.monotonic()
    return at.ask(message), time.monotonic() - began


def works_again(at: Site, honest: bytes) -> None:
    """The next round is as if nothing had been."""
    reply = at.ask(at.train(budget_s=START_S))
    assert not reply.has_error(), at.log
    assert update_of(reply) == honest


@pytest.mark.parametrize(
    ("case", "mode", "code"),
    [
        ("C01", "raise", "internal"),
        ("C02", "exit", "internal"),
        ("C02", "interrupt", "internal"),
        ("C02", "memory", "out_of_memory"),
    ],
)
def test_C01_C02_what_a_training_raises_crosses_as_a_code(
    at: Site, honest: bytes, case: str, mode: str, code: str
) -> None:
    reply, seconds = asked(at, mode)
    assert said(reply) == (number_of(code), code)  # type: ignore[arg-type]
    assert seconds < KNOWN_S
    assert CANARY.encode() not in bytes_of(reply)
    assert CANARY in at.log
    works_again(at, honest)


@pytest.mark.parametrize(("mode", "by_signal"), [("kill", 9), ("segv", 11), ("quit", 0)])
def test_C03_C04_a_dead_trainer_is_known_at_once_and_replaced(
    at: Site, honest: bytes, mode: str, by_signal: int
) -> None:
    reply, seconds = asked(at, mode)
    assert said(reply) == (number_of("crashed", by_signal), "crashed")
    assert seconds < KNOWN_S
    works_again(at, honest)


@pytest.mark.parametrize("mode", ["sleep", "stubborn", "stop"])
def test_C05_C06_C07_a_hanging_trainer_is_answered_for_and_killed(at: Site, honest: bytes, mode: str) -> None:
    trainer = at.health().trainer_pid
    reply, seconds = asked(at, mode, budget_s=6.0)
    assert said(reply) == (number_of("timeout"), "timeout")
    assert 5.0 < seconds < 6.0 + LATE_S
    assert soon(lambda: gone(trainer), 5.0 + LATE_S)
    works_again(at, honest)


def clientapp(at: Site, folder: Path) -> subprocess.Popen[bytes]:
    """A ClientApp in a process of its own, whose training hangs in C and has begun."""
    (folder / "message").write_bytes(pack(at.train(budget_s=600.0), at.context))
    at.misbehave("stubborn")
    program = (
        "import sys; from client.app import app; from fedmce.flower_compat import unpack; "
        "app(*unpack(open(sys.argv[1], 'rb').read()))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(folder / "message")])
    assert soon(lambda: not (at.root / "mode").exists(), START_S)
    return process


def test_C08_a_training_ends_with_the_clientapp_that_waits_for_it(at: Site, honest: bytes, tmp_path: Path) -> None:
    trainer = at.health().trainer_pid
    waiting = clientapp(at, tmp_path)
    waiting.kill()
    waiting.wait()
    assert soon(lambda: gone(trainer), 5.0 + LATE_S)
    works_again(at, honest)


def test_C08_no_orphan_trains_on_when_all_that_watched_it_are_killed(at: Site, honest: bytes, tmp_path: Path) -> None:
    front, trainer = psutil.Process(at.health().pid), at.health().trainer_pid
    waiting = clientapp(at, tmp_path)
    for process in (waiting, front):
        process.kill()
    waiting.wait()
    assert soon(lambda: gone(trainer), 2.0)
    works_again(at, honest)


def test_C08_a_trainer_dies_with_its_front_and_the_site_answers(at: Site, honest: bytes) -> None:
    front, trainer = at.health().pid or 0, at.health().trainer_pid or 0
    at.misbehave("sleep")
    killer = subprocess.Popen(
        [sys.executable, "-S", "-c", f"import os, time; time.sleep(1); os.kill({front}, 9)"], start_new_session=True
    )
    began = time.monotonic()
    reply = at.ask(at.train(budget_s=60.0))
    assert said(reply) == (number_of("crashed"), "crashed")
    assert time.monotonic() - began < KNOWN_S + 2
    assert soon(lambda: gone(trainer), 2.0)
    killer.wait()
    works_again(at, honest)


def test_C07_a_front_that_hangs_is_killed_by_the_clientapp(at: Site, honest: bytes) -> None:
    front, trainer = at.health().pid or 0, at.health().trainer_pid or 0
    at.misbehave("sleep")
    stopper = subprocess.Popen(
        [sys.executable, "-S", "-c", f"import os, time; time.sleep(1); os.kill({front}, {int(signal.SIGSTOP)})"]
    )
    began = time.monotonic()
    reply = at.ask(at.train(budget_s=6.0))
    assert said(reply) == (number_of("timeout"), "timeout")
    assert time.monotonic() - began < 6.0 + LATE_S
    assert soon(lambda: gone(front, trainer), 2.0)
    stopper.wait()
    works_again(at, honest)


def test_C20_sigterm_in_training_ends_everything_and_leaves_no_files(at: Site, honest: bytes) -> None:
    found = at.health()
    front = psutil.Process(found.pid)
    at.misbehave("sleep")
    stopper = subprocess.Popen(
        [sys.executable, "-S", "-c", f"import os, time; time.sleep(1); os.kill({found.pid}, 15)"]
    )
    reply = at.ask(at.train(budget_s=60.0))
    assert said(reply) == (number_of("timeout"), "timeout")
    stopper.wait()
    assert front.wait(10.0) in (0, None)
    assert gone(found.trainer_pid)
    assert {path.name for path in at.socket.parent.iterdir()} <= {"worker.sock.lock", "log", "kept", "ledger.jsonl"}
    works_again(at, honest)


def test_C23_what_a_training_starts_does_not_outlive_its_message(at: Site, honest: bytes) -> None:
    at.misbehave("litter")
    trainer = at.health().trainer_pid
    assert update_of(at.ask(at.train(budget_s=START_S))) == honest
    assert soon(lambda: [p.pid for p in marked(str(at.socket))] == [trainer], 5.0)


def test_C23_a_fork_bomb_is_ended_and_none_of_it_is_left(at: Site, honest: bytes) -> None:
    reply, _ = asked(at, "bomb", budget_s=20.0)
    assert reply.error.code in (number_of("crashed"), number_of("timeout"))
    works_again(at, honest)
    assert len(marked(str(at.socket))) == 1


def test_C11_a_training_that_takes_too_much_memory_is_refused_it() -> None:
    with tempfile.TemporaryDirectory(prefix="fw") as folder, site(Path(folder) / "s", node={"memory-gib": 1.0}) as at:
        good = update_of(at.ask(at.train(budget_s=START_S)))
        reply, _ = asked(at, "hoard", START_S)
        assert said(reply) == (number_of("out_of_memory"), "out_of_memory")
        assert "allocate memory" in at.log or "MemoryError" in at.log
        works_again(at, good)


def test_the_socket_is_for_its_owner_alone_and_for_one_worker(at: Site, honest: bytes) -> None:
    assert os.stat(at.socket).st_mode & 0o777 == 0o600
    assert os.stat(at.socket.parent).st_mode & 0o777 == 0o700
    second = subprocess.run(
        [sys.executable, "-m", "client.worker", "--socket", str(at.socket)],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.getcwd()},
    )
    assert second.returncode == 5
    assert "another worker listens" in second.stderr
    works_again(at, honest)


def test_killed_between_messages_the_worker_comes_back_with_equal_replies(at: Site, honest: bytes) -> None:
    psutil.Process(at.health().pid).kill()
    assert soon(lambda: at.health().state == "absent", 5.0)
    works_again(at, honest)
    # And without a worker the same function gives the same bytes.
    alone = dict(at.node)
    del alone["worker"]
    context = at.fresh_context()
    context.node_config = alone
    reply = app(at.train(), context)
    assert not reply.has_error(), at.log
    assert update_of(reply) == honest
