"""Numbered places at which a test may end the process as a power cut or the kernel would."""

from __future__ import annotations

import os
import signal

VARIABLE = "FEDMCE_TEST_KILL"


def kill_point(name: str, number: int | None = None) -> None:
    """Do nothing; with ``FEDMCE_TEST_KILL=K5@17`` end this process by SIGKILL at point K5 of round 17.

    K0 to K10 are the steps of a commit (docs/resume.md), V1 to V10 those of a recovery, which have no round.
    """
    wanted = os.environ.get(VARIABLE)
    if wanted and wanted == (name if number is None else f"{name}@{number}"):
        os.kill(os.getpid(), signal.SIGKILL)
