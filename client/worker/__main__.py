"""``python -m client.worker``: a site worker in the foreground, as a ClientApp starts it (``fedmce client worker``)."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path

from client.worker.front import Front
from client.worker.limits import die_with_parent
from fedmce.errors import FedMCEError


def main(arguments: list[str] | None = None) -> int:
    """Serve; the exit code of the command line."""
    parser = argparse.ArgumentParser(prog="python -m client.worker", description="Keep a site's training warm.")
    parser.add_argument("--socket", type=Path, required=True, help="Unix socket to listen on")
    parser.add_argument("--memory-gib", type=float, help="most memory of a training; default no limit")
    parser.add_argument("--idle-s", type=float, help="end after so long without a message; default never")
    parser.add_argument("--wait-s", type=float, default=0.0, help="wait for another worker on the socket to end")
    parser.add_argument("--with-parent", action="store_true", help="end when the starting process does")
    given = parser.parse_args(arguments)
    if given.with_parent:
        die_with_parent(os.getppid(), signal.SIGTERM)
    try:
        Front(given.socket, given.memory_gib, given.idle_s).serve(given.wait_s)
    except FedMCEError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the end of a program of its own
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
