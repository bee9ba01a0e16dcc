"""``SHA256SUMS``: a checksum of every file that a folder uses, in the form that ``sha256sum -c`` reads.

One flipped bit in a small Parquet file is read as other data, without an error, in about one case of three; only a
checksum made before sees it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from fedmce.errors import DataError
from fedmce.folders.findings import Example, Findings
from fedmce.folders.layout import CHECKSUMS

CHUNK = 1 << 20
FIX = "copy the file again from the source; `fedmce site seal` only if the change is meant"


def sha256(path: Path) -> str:
    """Checksum of a file, in hexadecimal.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_seal(folder: Path, files: Iterable[str]) -> Path:
    """Write ``SHA256SUMS`` over the given files, in one step.

    Args:
        folder: the folder.
        files: POSIX paths relative to it.

    Raises:
        DataError: a name has a line break.
        OSError: a file cannot be read, or the folder not written.
    """
    names = sorted(files)
    if torn := [name for name in names if "\n" in name or "\r" in name]:
        raise DataError(f"{folder}: file {torn[0]!r} has a line break in its name; needed none in a seal. rename it")
    lines = [f"{sha256(folder / name)}  {name}\n" for name in names]
    descriptor, draft = tempfile.mkstemp(prefix=f".{CHECKSUMS}.", dir=folder)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, folder / CHECKSUMS)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    return folder / CHECKSUMS


def check_seal(folder: Path, used: Iterable[str], findings: Findings) -> None:
    """Compare the folder with its ``SHA256SUMS``; nothing where there is none.

    Args:
        folder: the folder.
        used: files that must be in it if there is one.
        findings: collects.
    """
    path = folder / CHECKSUMS
    if not os.path.lexists(path):
        return
    try:
        sealed = _read(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        given = str(error) if type(error) is ValueError else f"not readable ({type(error).__name__})"
        findings.error("D65", CHECKSUMS, "", given, "lines of a checksum, two blanks and a path", FIX)
        return
    wrong = [Example(name, why) for name, told in sealed.items() if (why := _differs(folder / name, told))]
    findings.many("D65", CHECKSUMS, "", wrong, len(wrong), "the checksum that was sealed", FIX)
    new = [Example(name, "used, but not sealed") for name in sorted(set(used) - set(sealed))]
    findings.many("D65", CHECKSUMS, "", new, len(new), "a checksum of every file in use", "`fedmce site seal` again")


def _read(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for number, line in enumerate(text.rstrip("\n").split("\n"), start=1):
        told, blanks, name = line[:64], line[64:66], line[66:]
        path = PurePosixPath(name)
        if blanks not in ("  ", " *") or not name or set(told) - set("0123456789abcdef"):
            raise ValueError(f"line {number}: no checksum, two blanks and a path")
        if path.is_absolute() or ".." in path.parts or name in found:
            raise ValueError(f"line {number}: a path that leaves the folder, or comes twice")
        found[name] = told
    return found


def _differs(path: Path, told: str) -> str:
    try:
        if not path.is_file():
            return "sealed, but not there"
        return "" if sha256(path) == told else "another content than was sealed"
    except OSError as error:
        return f"not readable ({type(error).__name__})"
