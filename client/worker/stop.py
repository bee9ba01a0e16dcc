"""End a site worker from outside: asked first, then not."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from client.worker.family import kill_from_outside, kill_marked
from client.worker.place import Lock

STOP_S, LOOK_S = 12.0, 0.05


def end_worker(path: Path, patience_s: float = STOP_S) -> int | None:
    """End whoever listens on a socket, and all that belongs to it; nothing of it runs any more afterwards.

    Args:
        path: of the socket.
        patience_s: how long it may take to end by itself; 0 = it is killed.

    Returns:
        Process id of a front that had to be killed; None if none was there or it ended by itself.
    """
    path = Path(path).absolute()
    lock, end = Lock(path), time.monotonic() + patience_s
    if patience_s and (holder := lock.holder()) is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(holder, signal.SIGTERM)
        while lock.holder() is not None and time.monotonic() < end:
            time.sleep(LOOK_S)
    if (holder := lock.holder()) is not None:
        kill_from_outside(holder)
    kill_marked(str(path))
    return holder
