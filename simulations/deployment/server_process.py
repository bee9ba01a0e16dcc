"""The server's process of a run as its supervisor sees it: by the heartbeat that it leaves in the run folder."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.committed.lock import NAME, Lock
from server.heartbeat import HEARTBEAT
from simulations.processes import runs, stop_all

SILENT_S = 60.0


@dataclass
class ServerProcess:
    """Whoever works on the run of a folder.

    Attributes:
        folder: of the run.
    """

    folder: Path
    # The newest sign of life and when it was noticed, by a clock that nobody sets and that stands still in a suspended
    # machine: by the file's own time a clock that jumps, or a lid that was closed, would look like a death.
    _newest: tuple[int, float] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int | None:
        """Of the process that last gave a sign of life; None if there was none, or it ended in good order."""
        beat = self._beat()
        return int(beat["pid"]) if beat is not None else None

    def what_became_of_it(self) -> str | None:
        """Why it must be started again; None while it lives or has not begun."""
        beat = self._beat()
        if beat is None:
            return None
        if not runs(int(beat["pid"])):
            return "its process is gone"
        if self._newest is None or self._newest[0] != beat["at_ns"]:
            self._newest = beat["at_ns"], time.monotonic()
        if time.monotonic() - self._newest[1] > SILENT_S:
            return f"no heartbeat for {SILENT_S:.0f} s"
        return None

    def end(self) -> None:
        """End it; the state is free then.

        Raises:
            HeldError: another server works on the run.
        """
        if (pid := self.pid) is not None and runs(pid):
            stop_all(pid)
        (self.folder / HEARTBEAT).unlink(missing_ok=True)
        state = self.folder / "state"
        if (state / NAME).exists():
            Lock(state).release()

    def _beat(self) -> dict[str, Any] | None:
        path = self.folder / HEARTBEAT
        try:
            return json.loads(path.read_text(encoding="utf-8")) | {"at_ns": path.stat().st_mtime_ns}  # type: ignore[no-any-return]
        except (OSError, json.JSONDecodeError):
            return None
