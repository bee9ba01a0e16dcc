"""Faults of the server's own process, before anything of it is imported.

``FEDMCE_TEST_HOLD`` names a file: where ``FEDMCE_TEST_KILL`` would end the process, it says so in that file and stays
there for a moment. ``FEDMCE_TEST_CLOCK`` names libfaketime: the wall clock is what the file named by
``FAKETIME_TIMESTAMP_FILE`` says, from now on.
"""

import os
import sys
import threading
import time

HOLD, CLOCK = os.environ.get("FEDMCE_TEST_HOLD", ""), os.environ.get("FEDMCE_TEST_CLOCK", "")
HOLD_S = 3.0
_kill = os.kill


def _held(pid, number):
    if pid == os.getpid() and number == 9:
        with open(HOLD, "w") as file:
            file.write(str(pid))
        time.sleep(HOLD_S)
    else:
        _kill(pid, number)


if "flwr-serverapp" in " ".join(sys.orig_argv[:3]):
    if HOLD:
        os.kill = _held
    if CLOCK and "LD_PRELOAD" in os.environ:
        # libfaketime's own sleep fails where it leaves the monotonic clock alone.
        time.sleep = lambda seconds: threading.Event().wait(seconds) and None
    elif CLOCK:
        os.execve(sys.executable, sys.orig_argv, dict(os.environ, LD_PRELOAD=CLOCK))
