"""What the operating system is asked to see to: ends of processes, memory, core dumps. Linux; elsewhere left out."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GIB = 1024**3


def die_with_parent(parent: int, by: signal.Signals) -> None:
    """Let the kernel send this process a signal when its parent dies, however it dies.

    Args:
        parent: its process id; if it is dead already, this process ends here.
        by: the signal.
    """
    _prctl(PR_SET_PDEATHSIG, int(by))
    if os.getppid() != parent:
        os._exit(128 + int(by))


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that none gets lost."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def no_core_dumps() -> None:
    """A core file would hold a site's rows."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_memory(gib: float) -> None:
    """Let allocations fail once this process has mapped ``gib`` more than now.

    What is mapped now is mostly libraries, which take addresses and hardly any memory.
    """
    mapped = psutil.Process().memory_info().vms
    most = mapped + int(gib * GIB)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)
