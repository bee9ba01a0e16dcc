"""A commit that has begun is finished before the process gives way to a signal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

BOUND_S = 30.0
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def finished_first(bound_s: float = BOUND_S) -> Iterator[None]:
    """Hold SIGTERM and SIGINT back until the block is over.

    The same one again acts at once, and so does the first where the block takes longer, as on a full disk: what is
    being written then counts only if it is whole. Another one may be Flower's, whose programs interrupt themselves when
    the one that started them ends.

    Args:
        bound_s: longest delay.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    late = threading.Timer(bound_s, lambda: os.kill(os.getpid(), came[0]))
    late.daemon = True
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)

    def wait(number: int, frame: FrameType | None) -> None:
        if number not in came:
            came.append(number)
            if len(came) == 1:
                late.start()
            return
        put_back()
        os.kill(os.getpid(), number)

    for number in SIGNALS:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, wait)
    try:
        yield
    finally:
        late.cancel()
        put_back()
    if came:
        os.kill(os.getpid(), came[0])
