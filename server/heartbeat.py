"""A sign of life of the server's process, for whoever supervises it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HEARTBEAT, EVERY_S = "heartbeat.json", 5.0


@contextmanager
def heartbeat(folder: Path, every_s: float = EVERY_S) -> Iterator[None]:
    """Keep ``heartbeat.json`` (process number), touched every few seconds; gone on the way out, but not after a kill."""
    path, over = folder / HEARTBEAT, threading.Event()

    def beat() -> None:
        temporary, written = folder / (HEARTBEAT + ".tmp"), False
        while not over.is_set():
            # Touching takes no room: a process that waits for a full disk must not look dead.
            with suppress(OSError):
                if written and path.exists():
                    os.utime(path)
                else:
                    temporary.write_text(json.dumps({"pid": os.getpid()}) + "\n", encoding="utf-8")
                    temporary.replace(path)
                    written = True
            over.wait(every_s)

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        path.unlink(missing_ok=True)
