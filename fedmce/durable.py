"""Files that stay: written whole, with rights for their owner alone, never through a link, and flushed to the disk.

``Files`` is all that committed state asks of a file system; a test puts a disk in its place that loses power.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["file", "folder", "other"]
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


class Files(Protocol):
    """What committed state does with a file system; every method may raise ``OSError``."""

    def kind(self, path: Path) -> Kind | None:
        """What is there, links not followed; None for nothing."""

    def names(self, folder: Path) -> list[str]:
        """Entries of a folder, sorted."""

    def read(self, path: Path) -> bytes:
        """Content of a plain file; a link is an error."""

    def make_folder(self, path: Path) -> None:
        """A new folder, 0700; its parent must be there."""

    def write(self, path: Path, data: bytes) -> None:
        """A new file, 0600; whatever is there already is an error."""

    def append(self, path: Path, data: bytes) -> None:
        """Add to a file, made if absent; all of it or nothing."""

    def cut(self, path: Path, size: int) -> None:
        """Shorten a file to ``size`` bytes."""

    def sync(self, path: Path) -> None:
        """Flush a file's content to the disk."""

    def sync_folder(self, path: Path) -> None:
        """Flush a folder's entries to the disk."""

    def rename(self, old: Path, new: Path) -> None:
        """Move a file or folder."""

    def remove(self, path: Path) -> None:
        """Remove a file, a link (not what it names) or a folder with all in it."""


class Disk:
    """The file system of this machine.

    Attributes:
        can_sync_folders: False once a file system refused to flush a folder; then a power cut may take the newest
            rounds, though never half of one.
    """

    def __init__(self) -> None:
        self.can_sync_folders = True
        # A file is flushed through the descriptor that wrote it: only there is a failed write-back sure to show.
        self._unsynced: dict[Path, int] = {}

    def kind(self, path: Path) -> Kind | None:
        """See :class:`Files`."""
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        return "file" if stat.S_ISREG(mode) else "folder" if stat.S_ISDIR(mode) else "other"

    def names(self, folder: Path) -> list[str]:
        """See :class:`Files`."""
        return sorted(os.listdir(folder))

    def read(self, path: Path) -> bytes:
        """See :class:`Files`."""
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            return file.read()

    def make_folder(self, path: Path) -> None:
        """See :class:`Files`."""
        os.mkdir(path, 0o700)

    def write(self, path: Path, data: bytes) -> None:
        """See :class:`Files`."""
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self._unsynced[path] = fd
        _write_all(fd, data)

    def append(self, path: Path, data: bytes) -> None:
        """See :class:`Files`."""
        fd = self._unsynced.get(path)
        if fd is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            fd = self._unsynced[path] = os.open(path, flags, 0o600)
        before = os.fstat(fd).st_size
        try:
            _write_all(fd, data)
        except OSError:
            os.ftruncate(fd, before)  # half a line would make the next one unreadable
            raise

    def cut(self, path: Path, size: int) -> None:
        """See :class:`Files`."""
        fd = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.ftruncate(fd, size)
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync(self, path: Path) -> None:
        """See :class:`Files`; a second try on content whose flush failed would report a success that is none."""
        fd = self._unsynced.pop(path, None)
        if fd is None:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def sync_folder(self, path: Path) -> None:
        """See :class:`Files`."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in NO_FOLDER_SYNC:
                raise
            self.can_sync_folders = False
        finally:
            os.close(fd)

    def rename(self, old: Path, new: Path) -> None:
        """See :class:`Files`."""
        os.rename(old, new)

    def remove(self, path: Path) -> None:
        """See :class:`Files`."""
        for unsynced in [p for p in self._unsynced if p == path or path in p.parents]:
            with contextlib.suppress(OSError):
                os.close(self._unsynced.pop(unsynced))
        if self.kind(path) == "folder":
            shutil.rmtree(path)
        else:
            os.unlink(path)

    def close(self) -> None:
        """Let go of files that were written and not flushed."""
        for fd in self._unsynced.values():
            os.close(fd)
        self._unsynced.clear()


def write_durably(files: Files, path: Path, data: bytes) -> None:
    """Put ``data`` at ``path`` so that after a power cut the old or the new content is there, whole.

    Args:
        files: the file system.
        path: the file; its folder must be there.
        data: its new content.
    """
    temporary = path.with_name(path.name + ".tmp")
    if files.kind(temporary) is not None:
        files.remove(temporary)
    files.write(temporary, data)
    files.sync(temporary)
    files.rename(temporary, path)
    files.sync_folder(path.parent)


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]
