"""Where a site worker is: its socket, the lock that says who holds it, the code that it runs."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from pathlib import Path

import client
from fedmce.errors import StateError

LONGEST = 100  # bytes of a socket's path; systems allow 104 to 108
POLL_S, MOMENT_S = 0.1, 1.0


def app_path() -> dict[str, str]:
    """Environment in which ``python -m client.worker`` finds the code that runs here."""
    here = str(Path(str(client.__file__)).resolve().parents[1])
    before = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != here]
    return {"PYTHONPATH": os.pathsep.join([here, *before])}


def private_folder(path: Path) -> None:
    """Make the folder of a socket for the owner alone.

    Raises:
        StateError: the path is too long for a socket, or the folder is open to others or somebody else's.
    """
    check_length(path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = path.parent.stat()
    if about.st_uid != os.geteuid() or stat.S_IMODE(about.st_mode) & 0o077:
        raise StateError(
            f"{path.parent}: mode {stat.S_IMODE(about.st_mode):o} of user {about.st_uid}; needed 700 of user {os.geteuid()}. "
            f"chmod 700 {path.parent}"
        )


def check_length(path: Path) -> None:
    """Refuse a socket's path that no system takes, before anything is made.

    Raises:
        StateError: it is too long.
    """
    if (size := len(os.fsencode(path))) > LONGEST:
        raise StateError(f"worker socket {path}: {size} bytes; needed at most {LONGEST}. use a shorter path")


class Lock:
    """Who listens on a socket holds this lock for as long as it lives; the file says its process id.

    Args:
        path: of the socket.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._descriptor = path.with_name(path.name + ".lock"), -1

    def take(self, wait_s: float = 0.0) -> bool:
        """Take it; False if somebody else has it for so long, and a moment longer: :meth:`holder` tries it too."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        end = time.monotonic() + max(wait_s, MOMENT_S)
        while not _try(descriptor):
            if time.monotonic() >= end:
                os.close(descriptor)
                return False
            time.sleep(POLL_S)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor
        return True

    def drop(self) -> None:
        """Give it back."""
        if self._descriptor >= 0:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def holder(self) -> int | None:
        """Process id of who has it; None for nobody."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            if _try(descriptor):
                return None
            text = os.pread(descriptor, 20, 0)
            return int(text) if text.isdigit() else None
        finally:
            os.close(descriptor)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
