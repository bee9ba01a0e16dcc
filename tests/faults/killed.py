"""Child processes that are killed for real, at a named point or at a moment."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from server.committed.kill import VARIABLE

POINTS = [f"K{number}" for number in range(11)]


@contextlib.contextmanager
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a kill, unlike a power cut, loses nothing that was written."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="fedmce-test-", dir=memory))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def in_child(work: Callable[[], object], kill_at: str = "", kill_after_s: float | None = None) -> int:
    """Run ``work`` in a fork of this process; 0, or the number of the signal that ended it.

    Args:
        work: what to do; its exception fails the test.
        kill_at: ``K5@2``; the child kills itself there.
        kill_after_s: kill it after as many seconds, wherever it is.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.environ.pop(VARIABLE, None)
            if kill_at:
                os.environ[VARIABLE] = kill_at
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return os.WTERMSIG(status)
    assert os.WEXITSTATUS(status) == 0, "the child failed, see its trace"
    return 0


def kill_at_random(work: Callable[[], object], kills: int, longest_s: float, draw: random.Random) -> int:
    """Run ``work`` again and again, killing it at random moments, until it ends by itself; kills that hit."""
    hits = 0
    for _ in range(kills):
        if in_child(work, kill_after_s=draw.uniform(0, longest_s)) == 0:
            return hits
        hits += 1
    assert in_child(work) == 0
    return hits
