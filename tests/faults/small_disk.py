"""A disk of some megabytes in memory, and something that fills it and keeps it full."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """Mount it over a folder; the test skips where nobody may mount."""
    options = ["-o", f"size={megabytes}m,mode=0700"]
    mounted = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Keep it full: what somebody else on it frees is taken at once."""
    filler, over = disk / "filler", threading.Event()

    def fill() -> None:
        while not over.is_set():
            with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
                while not over.is_set():
                    file.write(b"x" * 4096)
            over.wait(0.2)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        filler.unlink(missing_ok=True)
