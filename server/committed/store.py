"""Committed rounds on disk: one folder per round, there as a whole or not at all.

A round is written beside its place, every file flushed, the manifest last; one rename makes it count. What the order
of these steps is worth is shown by the power-loss model in ``tests/faults/test_R_power.py``.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmce.durable import Files
from fedmce.errors import StateError
from server.committed.kill import kill_point
from server.committed.manifest import NAME, Manifest, sha256

FACTS = "round.json"
UNFINISHED = ".tmp"


@dataclass(frozen=True)
class Committed:
    """A round whose every byte is as it was committed.

    Attributes:
        round: its number.
        files: content by name.
        manifest: what vouches for it.
        facts: ``round.json``, parsed.
    """

    round: int
    files: dict[str, bytes]
    manifest: Manifest
    facts: dict[str, Any] = field(default_factory=dict)


class Store:
    """The folder ``rounds/``.

    Args:
        folder: of the rounds; must be there.
        run: id of the run that they belong to.
        files: the file system.
    """

    def __init__(self, folder: Path, run: str, files: Files) -> None:
        self.folder, self.run, self._files = folder, run, files
        self.last: Manifest | None = None  # set by who recovers, and by each commit
        self._sound: set[int] = set()

    def path(self, number: int) -> Path:
        """Where a committed round lies."""
        return self.folder / f"{number:06d}"

    def rounds(self) -> list[int]:
        """Numbers of the rounds that are there, whole or damaged, ascending."""
        return sorted(int(name) for name in self._files.names(self.folder) if re.fullmatch(r"\d{6,}", name))

    def unfinished(self) -> list[Path]:
        """What a commit or a removal left behind when its process died."""
        return [self.folder / name for name in self._files.names(self.folder) if name.endswith(UNFINISHED)]

    def commit(self, number: int, content: Mapping[str, bytes]) -> Manifest:
        """Put a round on the disk; it is durable when this returns.

        Args:
            number: of the round; larger than that of every round before.
            content: files by name.

        Raises:
            StateError: the round is committed already.
            OSError: the disk did not take it; :meth:`drop` what is left before another try.
        """
        final, temporary = self.path(number), self._temporary(number)
        if self._files.kind(final) is not None or (self.last is not None and self.last.round >= number):
            raise StateError(f"{final}: round {number} is committed already; a round is never aggregated twice")
        self._clear(temporary)
        manifest = Manifest.of_content(self.run, number, content, self.last)
        self._files.make_folder(temporary)
        for name, data in content.items():
            self._files.write(temporary / name, data)
            kill_point("K3", number)
            self._files.sync(temporary / name)
        kill_point("K4", number)
        self._files.write(temporary / NAME, manifest.to_bytes())
        self._files.sync(temporary / NAME)
        kill_point("K5", number)
        self._files.sync_folder(temporary)
        kill_point("K6", number)
        self._files.rename(temporary, final)
        kill_point("K7", number)
        self._files.sync_folder(self.folder)
        kill_point("K8", number)
        self.last = manifest
        self._sound.add(number)
        return manifest

    def drop(self, number: int) -> None:
        """Take back what a failed commit left, so that the next try writes every byte anew."""
        with contextlib.suppress(OSError):
            if self._files.kind(self.path(number)) is not None and (self.last is None or self.last.round < number):
                self._files.rename(self.path(number), self._temporary(number))
        with contextlib.suppress(OSError):
            self._clear(self._temporary(number))

    def read(self, number: int) -> Committed:
        """A committed round, every byte checked.

        Raises:
            StateError: it is damaged, cut, of another run, or went away while it was read.
        """
        try:
            found = self._read(self.path(number), number)
        except OSError as error:
            raise StateError(
                f"{self.path(number)}: {error.strerror or error}; the round is damaged or was removed"
            ) from error
        except StateError as error:
            raise StateError(f"{self.path(number)}: {error}; the round is damaged") from error
        self._sound.add(number)
        return found

    def _read(self, folder: Path, number: int) -> Committed:
        if self._files.kind(folder) != "folder":
            raise StateError("no folder, or a link to one")
        manifest = Manifest.of_bytes(self._plain(folder / NAME))
        if (manifest.run, manifest.round) != (self.run, number):
            raise StateError(f"{NAME} is that of round {manifest.round} of run {manifest.run}")
        content = {}
        for name, (size, digest) in manifest.files.items():
            data = self._plain(folder / name)
            if len(data) != size or sha256(data) != digest:
                raise StateError(f"{name} does not fit its checksum")
            content[name] = data
        self._check_chain(manifest)
        facts = json.loads(content[FACTS]) if FACTS in content else {}
        return Committed(number, content, manifest, facts)

    def _check_chain(self, manifest: Manifest) -> None:
        path = self.path(manifest.previous_round) / NAME
        if not manifest.previous_round or self._files.kind(path) != "file":
            return  # the first round, or the one before was pruned
        try:
            before = Manifest.of_bytes(self._files.read(path)).sha256
        except StateError:  # damage of the one before is its own
            return
        if before != manifest.previous:
            raise StateError(f"{NAME} does not follow that of round {manifest.previous_round}")

    def _plain(self, path: Path) -> bytes:
        if self._files.kind(path) != "file":
            raise StateError(f"{path.name} is not there as a plain file")
        return self._files.read(path)

    def prune(self, keep: Collection[int]) -> list[int]:
        """Remove rounds that are not to be kept, but never the newest two that are whole; those removed."""
        there = self.rounds()
        needed: set[int] = set()
        for number in reversed(there):
            if len(needed) == 2:
                break
            if self._is_sound(number):
                needed.add(number)
        doomed = [number for number in there if number not in keep and number not in needed]
        for number in doomed:
            # First out of sight: who reads a round gets all of it or an error, never a part.
            temporary = self._temporary(number)
            self._clear(temporary)
            self._files.rename(self.path(number), temporary)
            self._files.remove(temporary)
        return doomed

    def _is_sound(self, number: int) -> bool:
        if number not in self._sound:
            with contextlib.suppress(StateError):
                self.read(number)
        return number in self._sound

    def _temporary(self, number: int) -> Path:
        return self.folder / f"{number:06d}{UNFINISHED}"

    def _clear(self, path: Path) -> None:
        if self._files.kind(path) is not None:
            self._files.remove(path)
