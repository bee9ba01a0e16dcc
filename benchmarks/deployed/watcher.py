"""Looks at all processes of a federation from beside: their memory, and when each site's reply leaves."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import psutil

from client.worker.limits import adopt_orphans

EVERY_S = 0.25
# The first that the command line holds names a process; an order matters only where one command holds two of them.
ROLES = (
    ("nginx", "proxy (nginx)"),
    ("client.worker.trainer", "site worker, trainer"),
    ("client.worker", "site worker, front"),
    ("checked_app", "ClientApp (one per message)"),
    ("flwr-clientapp", "ClientApp (one per message)"),
    ("flwr-serverapp", "ServerApp"),
    ("flower-supernode", "SuperNode"),
    ("flower-superlink", "SuperLink"),
    ("flower-superexec", "executor (SuperExec)"),
    ("client\0join", "fedmce client join"),
    ("server\0up", "fedmce server up"),
)


class Watcher:
    """Samples until it is stopped.

    Args:
        homes: folders of sites by name; their ledgers say when a reply leaves.
    """

    def __init__(self, homes: dict[str, Path]) -> None:
        adopt_orphans()  # a site worker outlives the ClientApp that started it, and is still counted
        self._homes, self._over = homes, threading.Event()
        self.peak_bytes: dict[str, int] = defaultdict(int)
        self.most_at_once: dict[str, int] = defaultdict(int)
        self.total_bytes = 0
        self.left: dict[str, list[float]] = defaultdict(list)
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watcher:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(EVERY_S):
            self._memory()
            self._replies()

    def _memory(self) -> None:
        total, there = 0, dict[str, int]()
        for process in psutil.Process(os.getpid()).children(recursive=True):
            with suppress(psutil.Error):
                role, size = _role(process), process.memory_info().rss
                if role is None:
                    continue
                total += size
                there[role] = there.get(role, 0) + 1
                self.peak_bytes[role] = max(self.peak_bytes[role], size)
        self.total_bytes = max(self.total_bytes, total)
        for role, count in there.items():
            self.most_at_once[role] = max(self.most_at_once[role], count)

    def _replies(self) -> None:
        for site, home in self._homes.items():
            with suppress(OSError):
                moment = (home / "ledger.jsonl").stat().st_mtime
                if not self.left[site] or self.left[site][-1] != moment:
                    self.left[site].append(moment)

    def memory(self) -> dict[str, dict[str, float]]:
        """Per kind of process: largest resident size in MB, and how many there were at a time."""
        return {
            role: {"peak_mb": round(self.peak_bytes[role] / 1e6, 1), "processes": self.most_at_once[role]}
            for role in sorted(self.peak_bytes, key=lambda role: -self.peak_bytes[role])
        }


def _role(process: psutil.Process) -> str | None:
    line = "\0".join(process.cmdline())
    return next((role for word, role in ROLES if word in line), None)
