"""Pass T: paths in the table lead to readable regular files inside the folder."""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from fedmce.folders.findings import EXAMPLES, Example, Findings
from fedmce.folders.pass_cells import Cells
from fedmce.folders.pass_ids import Ids
from fedmce.folders.places import LONGEST

LONGEST_NAME = 255  # bytes of one part of a path on the file systems in use


class Fault(NamedTuple):
    """What is wrong with one path."""

    case: str
    given: str
    allowed: str
    fix: str


@dataclass
class Places:
    """Looks up the files of one folder, each directory once.

    Attributes:
        folder: the site folder.
        allow_links: links may lead out of it.
    """

    folder: Path
    allow_links: bool
    _root: str = ""
    _names: dict[str, frozenset[str]] = field(default_factory=dict)
    _real: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._root = os.path.realpath(self.folder)

    def fault(self, value: bytes) -> Fault | None:
        """What is wrong with a path as it stands in the table; None if it leads to a readable file."""
        try:
            given = value.decode("utf-8")
        except UnicodeDecodeError as error:
            shown = value.decode("utf-8", "backslashreplace")
            return Fault("D54", f"{shown!r}, no UTF-8 at byte {error.start}", "UTF-8", "rename the file")
        return self._wrong_text(given, value) or self._wrong_file(given)

    def _wrong_text(self, given: str, value: bytes) -> Fault | None:
        path = PurePosixPath(given)
        if len(value) > LONGEST or any(len(os.fsencode(part)) > LONGEST_NAME for part in path.parts):
            shown = f"{given[:60]!r}... of {len(value):,} bytes"
            return Fault("D54", shown, f"at most {LONGEST:,} bytes, each part {LONGEST_NAME}", "rename the file")
        if "\0" in given:
            return Fault("D54", f"{given!r}, with a NUL", "text", "rename the file")
        if "\\" in given:
            return Fault("D55", repr(given), "/ between the parts", "export with POSIX paths")
        if path.is_absolute() or ".." in path.parts:
            return Fault("D11", repr(given), "relative, without ..", "move the file into the folder")
        return None

    def _wrong_file(self, given: str) -> Fault | None:
        path = self.folder / given
        if not self.allow_links and not self._is_inside(path):
            fix = "move the file in, or set allow_links: true in site.yaml"
            return Fault("D11", f"{given!r}, led out by a link", "inside the folder", fix)
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            return self._missing(given)
        except NotADirectoryError:
            return self._missing(given)
        except PermissionError:
            return self._unreadable(given)
        except OSError as error:
            return Fault("D48", f"{given!r} ({type(error).__name__})", "a file that is there", "check the disk")
        if not stat.S_ISREG(mode):
            return Fault("D49", f"{given!r}, {_named(mode)}", "a regular file", "replace it")
        if not os.access(path, os.R_OK, effective_ids=True):
            return self._unreadable(given)
        if not self._is_exact(given):
            return Fault("D55", repr(given), "exact case", "write the name as the file system has it")
        return None

    def _unreadable(self, given: str) -> Fault:
        allowed = "readable by the user that trains"
        return Fault("D50", f"{given!r}, not readable", allowed, f"chmod u+r (uid {os.geteuid()})")

    def _missing(self, given: str) -> Fault:
        if (found := self._in_other_case(given)) is not None:
            return Fault("D55", repr(given), f"exact case: {found!r}", "write the name as the file system has it")
        return Fault("D48", repr(given), "a file that is there", "copy the file, or leave the cell empty for absent")

    def _is_inside(self, path: Path) -> bool:
        """The last part may be a link too; directories are resolved once each."""
        parent = str(path.parent)
        if parent not in self._real:
            self._real[parent] = os.path.realpath(parent)
        real = os.path.join(self._real[parent], path.name)
        if path.is_symlink():
            real = os.path.realpath(path)
        return real == self._root or real.startswith(self._root + os.sep)

    def _listing(self, directory: str) -> frozenset[str]:
        if directory not in self._names:
            try:
                self._names[directory] = frozenset(os.listdir(directory))
            except OSError:
                self._names[directory] = frozenset()
        return self._names[directory]

    def _is_exact(self, given: str) -> bool:
        """Whether every part is listed as it is written; a file system may find it in another case."""
        directory = str(self.folder)
        for part in PurePosixPath(given).parts:
            names = self._listing(directory)
            if names and part not in names:
                return False
            directory = os.path.join(directory, part)
        return True

    def _in_other_case(self, given: str) -> str | None:
        directory, exact = str(self.folder), []
        for part in PurePosixPath(given).parts:
            names = self._listing(directory)
            found = part if part in names else next((n for n in sorted(names) if n.lower() == part.lower()), None)
            if found is None:
                return None
            exact.append(found)
            directory = os.path.join(directory, found)
        return "/".join(exact)


def check_paths(name: str, cells: Cells, places: Places, ids: Ids, file: str, findings: Findings) -> list[str]:
    """Every path of a column.

    Returns:
        The files that can be opened, in the order of the table's first mention.
    """
    assert cells.paths is not None
    used = np.unique(cells.codes[cells.codes >= 0])
    values = cells.paths.values.to_pylist()
    faults: dict[str, list[tuple[int, Fault]]] = defaultdict(list)
    good: list[str] = []
    for code in used.tolist():
        if fault := places.fault(values[code]):
            faults[fault.case].append((code, fault))
        else:
            good.append(values[code].decode("utf-8"))
    for case, found in faults.items():
        shown = [
            Example(ids.name(int(np.argmax(cells.codes == code))), fault.given) for code, fault in found[:EXAMPLES]
        ]
        findings.many(case, file, f'column "{name}"', shown, len(found), found[0][1].allowed, found[0][1].fix)
    return good


def _named(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a fifo"), (stat.S_ISSOCK, "a socket"))
    return next((words for is_kind, words in kinds if is_kind(mode)), "a device")
