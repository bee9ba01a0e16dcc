"""A disk in memory that loses power: what may be found afterwards is every combination of what was not flushed.

A file that was not flushed is found as it last was, as it is now, empty or half there; an entry of a folder that was
not flushed is there or not, each for itself. That is harsher than any journalling file system.
"""

from __future__ import annotations

import errno
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Union

from fedmce.durable import Kind

Tree = dict[str, Union[bytes, "Tree"]]


class File:
    def __init__(self, data: bytes, synced: bytes | None = None) -> None:
        self.data, self.synced = data, synced

    def found(self) -> Iterator[bytes]:
        if self.data == self.synced:
            yield self.data
            return
        # What was flushed stays when a file only grows.
        stays = self.synced if self.synced is not None and self.data.startswith(self.synced) else b""
        half = (len(stays) + len(self.data)) // 2
        yield from dict.fromkeys([self.synced or b"", stays, self.data[:half], self.data])


class Folder:
    def __init__(self) -> None:
        self.now: dict[str, File | Folder] = {}
        self.synced: dict[str, File | Folder] = {}

    def found(self) -> Iterator[Tree]:
        names = sorted(self.now.keys() | self.synced.keys())
        for choice in itertools.product(*(list(self._entry(name)) for name in names)):
            yield {name: found for name, found in zip(names, choice, strict=True) if found is not None}

    def _entry(self, name: str) -> Iterator[bytes | Tree | None]:
        there = {id(x): x for x in (self.now.get(name), self.synced.get(name)) if x is not None}
        if len([x for x in (self.now.get(name), self.synced.get(name)) if x is not None]) < 2:
            yield None
        for entry in there.values():
            yield from entry.found()

    def one_found(self, draw: random.Random) -> Tree:
        tree: Tree = {}
        for name in sorted(self.now.keys() | self.synced.keys()):
            entry = draw.choice([self.now.get(name), self.synced.get(name)])
            if isinstance(entry, Folder):
                tree[name] = entry.one_found(draw)
            elif isinstance(entry, File):
                tree[name] = draw.choice(list(entry.found()))
        return tree


class Ram:
    """Files of a disk in memory; ``after`` is called after every change.

    Args:
        tree: what is on the disk.
        files_sync: flushing a file does what it says.
        folders_sync: flushing a folder does what it says.
    """

    def __init__(self, tree: Tree | None = None, *, files_sync: bool = True, folders_sync: bool = True) -> None:
        self.root = _folder(tree or {})
        self.after: Callable[[], None] = lambda: None
        self.files_sync, self._folders_sync = files_sync, folders_sync

    def kind(self, path: Path) -> Kind | None:
        try:
            found = self._find(path)
        except FileNotFoundError:
            return None
        return "file" if isinstance(found, File) else "folder"

    def names(self, folder: Path) -> list[str]:
        return sorted(self._folder(folder).now)

    def read(self, path: Path) -> bytes:
        return self._file(path).data

    def make_folder(self, path: Path) -> None:
        self._new(path, Folder())

    def write(self, path: Path, data: bytes) -> None:
        self._new(path, File(data))

    def append(self, path: Path, data: bytes) -> None:
        if self.kind(path) is None:
            self._new(path, File(b""))
        self._file(path).data += data
        self.after()

    def cut(self, path: Path, size: int) -> None:
        file = self._file(path)
        file.data = file.data[:size]
        self.sync(path)

    def sync(self, path: Path) -> None:
        if self.files_sync:
            self._file(path).synced = self._file(path).data
        self.after()

    def sync_folder(self, path: Path) -> None:
        if self._folders_sync:
            self._folder(path).synced = dict(self._folder(path).now)
        self.after()

    def rename(self, old: Path, new: Path) -> None:
        entry = self._find(old)
        del self._folder(old.parent).now[old.name]
        self._folder(new.parent).now[new.name] = entry
        self.after()

    def remove(self, path: Path) -> None:
        self._find(path)
        del self._folder(path.parent).now[path.name]
        self.after()

    def _new(self, path: Path, entry: File | Folder) -> None:
        if self.kind(path) is not None:
            raise FileExistsError(errno.EEXIST, "exists", str(path))
        self._folder(path.parent).now[path.name] = entry
        self.after()

    def _find(self, path: Path) -> File | Folder:
        at: File | Folder = self.root
        for part in path.parts[1:]:
            if not isinstance(at, Folder) or part not in at.now:
                raise FileNotFoundError(errno.ENOENT, "not there", str(path))
            at = at.now[part]
        return at

    def _file(self, path: Path) -> File:
        found = self._find(path)
        assert isinstance(found, File)
        return found

    def _folder(self, path: Path) -> Folder:
        found = self._find(path)
        assert isinstance(found, Folder)
        return found


def _folder(tree: Tree) -> Folder:
    """A folder whose whole content is on the disk."""
    made = Folder()
    for name, entry in tree.items():
        made.now[name] = _folder(entry) if isinstance(entry, dict) else File(entry, entry)
    made.synced = dict(made.now)
    return made


def key_of(tree: Tree) -> str:
    """Equal for equal disks."""
    return repr({name: key_of(entry) if isinstance(entry, dict) else entry for name, entry in sorted(tree.items())})
