"""A commit that has begun is finished before the process gives way to a signal."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from server.committed.finishing import finished_first


class Stopped(Exception):
    """What a handler raises."""


@pytest.fixture
def stoppable() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise Stopped

    before = signal.signal(signal.SIGTERM, stop)
    yield
    signal.signal(signal.SIGTERM, before)


def guarded(bound_s: float, *steps: Callable[[], object]) -> None:
    with finished_first(bound_s):
        for step in steps:
            step()


def tell() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.usefixtures("stoppable")
def test_a_signal_waits_for_the_end_of_the_block() -> None:
    done: list[str] = []
    with pytest.raises(Stopped):
        guarded(30.0, tell, lambda: done.append("whole"))
    assert done == ["whole"]


@pytest.mark.usefixtures("stoppable")
def test_a_second_signal_acts_at_once() -> None:
    done: list[str] = []
    with pytest.raises(Stopped):
        guarded(30.0, tell, lambda: done.append("half"), tell, lambda: done.append("whole"))
    assert done == ["half"]


@pytest.mark.usefixtures("stoppable")
def test_S16_flower_s_own_interrupt_after_a_sigterm_waits_too() -> None:
    done: list[str] = []
    with pytest.raises(Stopped):
        guarded(30.0, tell, lambda: os.kill(os.getpid(), signal.SIGINT), lambda: done.append("whole"))
    assert done == ["whole"]


@pytest.mark.usefixtures("stoppable")
def test_a_block_that_does_not_end_is_left_after_the_bound() -> None:
    began = time.monotonic()
    with pytest.raises(Stopped):
        guarded(0.2, tell, lambda: time.sleep(30))
    assert time.monotonic() - began < 20


@pytest.mark.usefixtures("stoppable")
def test_without_a_signal_the_handlers_are_as_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with finished_first():
        pass
    assert signal.getsignal(signal.SIGTERM) is before
