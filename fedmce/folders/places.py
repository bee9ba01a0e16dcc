"""Where a path in a table may lead: into the folder, and nowhere else."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from fedmce.errors import DataError

LONGEST = 4096  # characters of a path


def inside(folder: Path, given: str, *, allow_links: bool = False) -> Path:
    """The file that a cell of the table names, whether it is there or not.

    Args:
        folder: the site folder.
        given: POSIX path relative to it.
        allow_links: links on the way may lead out of the folder; the path itself never does.

    Raises:
        DataError: absolute, with ``..`` or a backslash, too long, or led out by a link.
    """
    path = PurePosixPath(given)
    if len(given) > LONGEST or "\\" in given or "\0" in given or path.is_absolute() or ".." in path.parts:
        raise DataError(f"path {given[:80]!r}: needed a relative POSIX path inside the folder. move the file in")
    found = Path(folder) / path
    if not allow_links and not found.resolve().is_relative_to(Path(folder).resolve()):
        raise DataError(
            f"path {given!r}: leads out of the folder by a link; needed a file inside. move it in, or set "
            "allow_links: true in site.yaml"
        )
    return found
