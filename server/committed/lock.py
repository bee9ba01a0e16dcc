"""One server per state folder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from functools import lru_cache
from pathlib import Path
from typing import Any

from fedmce.durable import FULL
from fedmce.errors import StateError

NAME = "LOCK"


class HeldError(StateError):
    """Another server works on the run: nothing of it may be touched."""


@lru_cache(maxsize=1)
def boot_id() -> str:
    """What tells this start of this machine from all others; empty where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class Lock:
    """Holds a state folder for this process until :meth:`release` or its end.

    The kernel's lock (flock) decides and goes with the process. What the file says is for people, and for file
    systems on which the kernel's lock does not reach over machines: a process that runs here is never overruled.

    Args:
        folder: the state folder.

    Raises:
        HeldError: another server holds it.
        StateError: the folder cannot be written or locked.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise StateError(
                f"{folder}: cannot be written ({error.strerror}); needed a folder for the state"
            ) from error
        try:
            self._take(folder)
        except BaseException:
            os.close(self._fd)
            raise

    def _take(self, folder: Path) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise self._held(self.holder()) from None
            raise StateError(
                f"{folder}: its file system has no locks ({error.strerror}); two servers could not be told apart. "
                "needed a local disk, or NFS with locking"
            ) from error
        holder = self.holder()
        if _lives_here(holder):
            raise self._held(holder)
        me = {"pid": os.getpid(), "host": socket.gethostname(), "boot": boot_id(), "started": _started(os.getpid())}
        self._say(json.dumps(me).encode())

    def holder(self) -> dict[str, Any]:
        """What the file says of who holds it; empty if nobody does."""
        try:
            found = json.loads(os.pread(self._fd, 4096, 0) or b"{}")
        except ValueError:  # its writer died in the middle
            return {}
        return found if isinstance(found, dict) else {}

    def release(self) -> None:
        """Let the folder go."""
        self._say(b"")
        os.close(self._fd)

    def _say(self, text: bytes) -> None:
        os.ftruncate(self._fd, 0)
        try:
            os.pwrite(self._fd, text, 0)
        except OSError as error:
            if error.errno not in FULL:  # the kernel's lock needs no room
                raise

    def _held(self, holder: dict[str, Any]) -> HeldError:
        who = f"process {holder.get('pid', '?')} on {holder.get('host', 'an unknown machine')}"
        return HeldError(f"{self.path}: held by {who}; needed a state folder of one server. end that process first")


def _lives_here(holder: dict[str, Any]) -> bool:
    """The process that the file names still runs on this machine; its start tells it from a later one of its number."""
    if not holder or holder.get("boot") != boot_id() or holder.get("host") != socket.gethostname():
        return False
    return holder.get("started") is not None and holder["started"] == _started(int(holder.get("pid", 0)))


def _started(pid: int) -> int | None:
    """When a process began, in ticks since the machine did; None if it is gone, or dead and not yet buried."""
    try:
        # The name of the program, in brackets, may hold anything.
        told = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if told[0] in "ZX" else int(told[19])
    except (OSError, ValueError, IndexError):
        return None
