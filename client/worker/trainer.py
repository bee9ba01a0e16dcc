"""The process that trains: imports torch, then answers messages from a socket until its parent closes it.

Started by :class:`client.worker.process.Process` as ``python -m client.worker.trainer FD PARENT GIB``. It says that it
is ready before each message, so that none is handed to a process that is about to end.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import sys

from client.worker.frames import receive, send
from client.worker.limits import die_with_parent, limit_memory, no_core_dumps

READY = b"ready"
NO_MEMORY = 86  # exit code: not even the start fits
TELL_STACK = signal.SIGUSR1  # where it is, into the worker's log, before it is ended


def main(arguments: list[str]) -> int:
    """Serve one front.

    Args:
        arguments: descriptor of the socket, process id of the front, memory limit in GiB (0 = none).
    """
    descriptor, parent, gib = int(arguments[0]), int(arguments[1]), float(arguments[2])
    die_with_parent(parent, signal.SIGKILL)
    no_core_dumps()
    faulthandler.enable()
    faulthandler.register(TELL_STACK)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the front, which ends this process
    os.set_inheritable(descriptor, False)
    with socket.socket(fileno=descriptor) as pipe:
        try:
            _warm(gib)
        except MemoryError:
            return NO_MEMORY
        is_spent = False
        while not is_spent:
            send(pipe, READY)
            if (packed := receive(pipe)) is None:
                break
            reply, is_spent = _answer(packed)
            send(pipe, reply)
    return 0


def _warm(gib: float) -> None:
    import torch

    import client.handler  # noqa: F401 - with all that it imports

    if gib and not torch.cuda.is_available():  # CUDA maps far more than it uses; there the front watches
        limit_memory(gib)


def _answer(packed: bytes) -> tuple[bytes, bool]:
    """The packed reply, and whether this process is of no further use: out of memory, or its device is broken."""
    from client.door import guarded
    from client.handler import handle
    from fedmce.flower_compat import pack, unpack
    from fedmce.site_errors import code_of_number

    message, context = unpack(packed)
    reply = guarded(handle, message, context)
    code = code_of_number(reply.error.code) if reply.has_error() else None
    return pack(reply, context), code in ("out_of_memory", "device_error")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
