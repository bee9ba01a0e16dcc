"""Pass U: whether a folder is still the one that was checked, told by sizes, times and first bytes.

A digest of all values would cost a reading of everything in each round. Sizes, times of change and the first bytes of
the table and the arrays cost a few calls; ``SHA256SUMS`` is there for what they cannot see.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedmce.folders.findings import EXAMPLES, Example, Finding
from fedmce.folders.layout import ARRAYS, AUDIO, FEATURES, IMAGES, SAMPLES, SITE_FILE, VOLUMES

HEAD = 4096  # bytes that a header lies in
TAIL = 4096  # of a Parquet footer
SINGLE = IMAGES + AUDIO + VOLUMES + ARRAYS
Code = Literal["data_changed", "data_unavailable"]


@dataclass(frozen=True)
class Stamp:
    """One file as it was found.

    Attributes:
        size: bytes.
        mtime_ns: time of the last change.
        digest: of the first and last bytes; empty for single samples, which are many.
    """

    size: int
    mtime_ns: int
    digest: str


@dataclass(frozen=True)
class Change:
    """Why a folder cannot be used any more.

    Attributes:
        code: what the server hears, and nothing else.
        findings: what the site sees: D56 or D57.
    """

    code: Code
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class FolderFingerprint:
    """Files of a folder as they were found; compare later with :meth:`changed`.

    Attributes:
        files: by path relative to the folder.
    """

    files: dict[str, Stamp]

    @classmethod
    def take(cls, path: Path, samples: Iterable[str] | None = None) -> FolderFingerprint:
        """Look at ``site.yaml``, the table, ``features/*.npy`` and the given files of single samples.

        Args:
            path: the folder.
            samples: paths relative to it, such as :attr:`~fedmce.folders.check.Report.files` lists; None = every
                image, recording, volume and array under the folder.

        Raises:
            OSError: the folder, ``site.yaml`` or a given file is not there or not readable.
        """
        folder = Path(path)
        arrays = sorted(f"{FEATURES}/{file.name}" for file in (folder / FEATURES).glob("*.npy"))
        tables = [name for name in SAMPLES if (folder / name).is_file()]
        headed = [SITE_FILE, *tables, *arrays]
        files = {name: _stamp(folder / name, with_digest=True) for name in headed}
        samples = _single_samples(folder) if samples is None else samples
        files |= {name: _stamp(folder / name, with_digest=False) for name in samples if name not in files}
        return cls(files)

    def features(self, path: Path) -> list[Path]:
        """Files with values alone: neither ``site.yaml`` nor the table."""
        return [Path(path) / name for name in sorted(self.files) if name not in (SITE_FILE, *SAMPLES)]

    def changed(self, path: Path) -> Change | None:
        """Compare the folder with what it was; None if it is the same.

        A disk that went away is told apart from files that changed: it may come back, and the folder is then the same
        again. A file alone that is not there counts as gone.
        """
        folder = Path(path)
        gone: list[Example] = []
        other: list[Example] = []
        for name, before in self.files.items():
            try:
                now = _stamp(folder / name, with_digest=bool(before.digest))
            except OSError as error:
                gone.append(Example(name, errno.errorcode.get(error.errno or 0, type(error).__name__)))
                continue
            if now != before:
                other.append(Example(name, _difference(before, now)))
        if gone:
            fix = "mount the disk again, or put the files back; the folder was not touched"
            return Change("data_unavailable", (_finding("D57", gone, "there throughout a run", fix),))
        if other:
            fix = "check the folder again, and start a new run"
            return Change("data_changed", (_finding("D56", other, "unchanged throughout a run", fix),))
        return None


def _single_samples(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder):
        for name in names:
            if name.lower().endswith(SINGLE):
                yield (Path(place) / name).relative_to(folder).as_posix()


def _stamp(path: Path, with_digest: bool) -> Stamp:
    if not with_digest:
        about = path.stat()
        return Stamp(about.st_size, about.st_mtime_ns, "")
    with path.open("rb", buffering=0) as file:
        about = os.fstat(file.fileno())
        digest = hashlib.sha256(file.read(HEAD) or b"")
        if about.st_size > HEAD:
            file.seek(max(HEAD, about.st_size - TAIL))
            digest.update(file.read(TAIL) or b"")
    return Stamp(about.st_size, about.st_mtime_ns, digest.hexdigest())


def _difference(before: Stamp, now: Stamp) -> str:
    if before.size != now.size:
        return f"{now.size:,} bytes, before {before.size:,}"
    return "written since" if before.mtime_ns != now.mtime_ns else "another header"


def _finding(case: str, examples: list[Example], allowed: str, fix: str) -> Finding:
    shown = tuple(examples[:EXAMPLES])
    return Finding(case, "", "", shown[0].given, allowed, fix, True, shown, len(examples))
