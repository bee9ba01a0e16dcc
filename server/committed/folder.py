"""The open state folder of a run: commits rounds, waits for room, keeps the log."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedmce.audit import AuditLog
from fedmce.durable import Files, write_durably
from fedmce.errors import StateError
from server.committed.kill import kill_point
from server.committed.plan import Changes, RunFile
from server.committed.recovery import Recovered
from server.committed.room import Room, may_pass
from server.committed.store import FACTS, Store

NEWEST, EVERY = 3, 10
"""Rounds that pruning keeps: the last ones, and every tenth."""


@dataclass(frozen=True)
class Opening:
    """What a state folder is opened with.

    Attributes:
        plan: everything that decides the numbers, JSON-ready.
        versions: of the libraries, by name.
        accept_rollback: go on from an older round if the newest is damaged or gone.
        keep_every: rounds between two that are kept for good; 0 = none.
    """

    plan: Mapping[str, Any]
    versions: Mapping[str, str]
    accept_rollback: bool = False
    keep_every: int = EVERY


class StateFolder:
    """An open state folder; :func:`server.committed.opening.open_state` makes one.

    Attributes:
        newest: round to go on from; None in a new run.
        audit: the log of all decisions.
        room: asks and waits for room on the disk.
        changes: keys of the plan that were changed on resume, old and new value.
        notes: what a person should be told.
        is_resumed: an earlier process worked on this run.
    """

    def __init__(
        self,
        path: Path,
        run: RunFile,
        store: Store,
        audit: AuditLog,
        recovered: Recovered,
        opening: Opening,
        files: Files,
        room: Room,
        release: Callable[[], None],
    ) -> None:
        self.path, self.run, self.audit, self.room = path, run, audit, room
        self.newest, self.notes = recovered.newest, recovered.notes
        self.changes: Changes = {}
        self.is_resumed = False
        self._store, self._files, self._release, self._opening = store, files, release, opening
        self._flushed: set[Path] = set()
        self._doubtful: set[Path] = set()
        facts = self.newest.facts if self.newest is not None else {}
        self._best: dict[str, Any] | None = facts.get("best")
        self._bytes = sum(len(data) for data in self.newest.files.values()) if self.newest is not None else 0

    @property
    def round(self) -> int:
        """Last committed round; 0 for none."""
        return self._store.last.round if self._store.last is not None else 0

    def await_room(self, replies: int = 0) -> bool:
        """Before a round is sent: wait until twice the state and the replies' bytes are free; False if it waited."""
        return self.room.await_free(2 * (self._bytes + replies))

    def commit(
        self,
        number: int,
        content: Mapping[str, bytes],
        facts: Mapping[str, Any],
        score: float | None = None,
        beside: Sequence[Path] = (),
    ) -> None:
        """Make a round durable; when this returns, no kill or power cut takes it back.

        A full disk is waited for: first older rounds go, then nothing moves until there is room. A failed flush is
        never tried again on the same file: every byte is written anew, once.

        Args:
            number: of the round.
            content: files of the round by name, without ``round.json``.
            facts: what ``round.json`` says besides, JSON-ready.
            score: of the model; the best round is kept.
            beside: files outside that must be on the disk before the round counts, such as the record.

        Raises:
            StateError: the disk fails for good, or the round is committed already.
        """
        best = self._best
        if score is not None and (best is None or score > best["score"]):
            best = {"round": number, "score": score}
        failures = 0
        while True:
            try:
                manifest = self._try(number, content, {**facts, "round": number, "best": best}, beside)
                break
            except OSError as error:
                self._store.drop(number)
                failures += 1
                self._after(error, failures)
        self.room.written()
        self._best, self._bytes = best, sum(len(data) for data in content.values())
        self.audit.write("commit", round=number, manifest=manifest)
        kill_point("K9", number)
        self._prune(NEWEST)
        kill_point("K10", number)

    def _try(self, number: int, content: Mapping[str, bytes], facts: dict[str, Any], beside: Sequence[Path]) -> str:
        # The log and what lies beside come first: the round vouches for both.
        self.audit.sync()
        for path in beside:
            self._flush(path)
        told = json.dumps(facts | {"audit": str(self.audit.head)}, indent=1).encode()
        return self._store.commit(number, {**content, FACTS: told}).sha256

    def _flush(self, path: Path) -> None:
        if path in self._doubtful:  # its last flush failed: the system may have forgotten what it did not write
            write_durably(self._files, path, self._files.read(path))
            self._doubtful.remove(path)
            return
        if path not in self._flushed:  # a new file is there only once its folder says so
            self._files.sync_folder(path.parent)
            self._flushed.add(path)
        try:
            self._files.sync(path)
        except OSError:
            self._doubtful.add(path)
            raise

    def _after(self, error: OSError, failures: int) -> None:
        """Decide whether to try again after a failed commit."""
        if may_pass(error):
            if failures == 1:
                try:
                    self._prune(2)
                    return
                except OSError:
                    pass
            self.room.wait_after(error)
        elif failures > 1:
            raise StateError(
                f"{self.path}: round cannot be committed ({error.strerror or error}), twice; needed a sound disk. every "
                "round committed before is there: copy the folder to another disk and resume"
            ) from error

    def _prune(self, newest: int) -> None:
        rounds = self._store.rounds()
        keep = set(rounds[-newest:])
        if newest > 2:
            every = self._opening.keep_every
            keep |= {n for n in rounds if every and n % every == 0} | ({self._best["round"]} if self._best else set())
        self._store.prune(keep)

    def close(self, status: str) -> None:
        """Say in the log how this process ended, and let the folder go."""
        try:
            self.audit.write("shutdown", round=self.round, status=status)
            self.audit.sync()
        finally:
            self.room.release_reserve()
            self._release()
