"""Files that only their owner may read, from their first byte on."""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700
OTHERS = 0o077  # bits that no key and no kit may have


def write_private(path: Path, content: bytes) -> Path:
    """Write a new file of mode 0600 and sync it.

    The mode is given when the file is made: a file that is made and then restricted can be opened in between.
    No umask can add bits, and a link planted at ``path`` is not followed.

    Raises:
        FileExistsError: something is at ``path``.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, FILE_MODE), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    return path


def replace_private(path: Path, content: bytes) -> Path:
    """Put new content in place of a file; a reader sees the old or the new one, never a part."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        write_private(beside, content)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return path


def make_private_folder(path: Path) -> Path:
    """Make a new folder of mode 0700.

    Raises:
        FileExistsError: something is at ``path``.
    """
    os.mkdir(path, FOLDER_MODE)
    return path


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def open_to_others(path: Path) -> str | None:
    """The mode of a path as four digits if group or world may do anything with it, None if not.

    Raises:
        OSError: the path cannot be looked at.
    """
    mode = stat.S_IMODE(os.stat(path).st_mode)
    return f"{mode:04o}" if mode & OTHERS else None


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder against other commands of ours; waits for the one that has it."""
    opened = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
