"""A site's own log: the one place where the trace of a failure may be read.

Deployed, it is ``log/site.log`` in the site's home; in a simulation ``sites.log`` in the run folder; without either,
stderr. Several processes of a site write to one file, so a lock is held while it may be turned over.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sys
import traceback
from collections.abc import Iterator
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from flwr.app import Context

MOST_BYTES, KEPT = 1_000_000, 5
FORMAT = "%(asctime)s %(levelname)s %(message)s"


def log_file(context: Context) -> Path | None:
    """The file that a node's log goes to; None = stderr.

    In a deployment the run's folder is a path at the server, so it is not looked at.
    """
    node = context.node_config
    if node.get("home"):
        return Path(str(node["home"])) / "log" / "site.log"
    out = context.run_config.get("out")
    if out and "partition-id" in node and Path(str(out)).is_dir():
        return Path(str(out)) / "sites.log"
    return None


def log_trace(context: Context, code: str, error: BaseException) -> None:
    """Keep what became a code on the wire."""
    trace = "".join(traceback.format_exception(error))
    log_line(log_file(context), logging.ERROR, f"node {context.node_id}: {code}\n{trace}")


def log_line(file: Path | None, level: int, text: str) -> None:
    """Add to a log.

    Args:
        file: made with its folder, for the owner alone; None = stderr.
        level: of :mod:`logging`.
        text: one or more lines.
    """
    record = logging.LogRecord("fedmce.site", level, "", 0, text, None, None)
    if file is None:
        stream = logging.StreamHandler(sys.stderr)
        stream.setFormatter(logging.Formatter(FORMAT))
        stream.emit(record)
        return
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked(file.with_name(file.name + ".lock")):
        handler = _PrivateFile(file, maxBytes=MOST_BYTES, backupCount=KEPT, encoding="utf-8", errors="backslashreplace")
        handler.setFormatter(logging.Formatter(FORMAT))
        try:
            handler.emit(record)
        finally:
            handler.close()


class _PrivateFile(RotatingFileHandler):
    """A file that others on the machine cannot read: a trace may quote data."""

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name in the standard library
        """Pass on what went wrong, so that the caller decides."""
        raise


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
