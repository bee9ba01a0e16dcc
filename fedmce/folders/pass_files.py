"""Pass V: the files that a column names, each decoded as the loader does it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fedmce.errors import DataError
from fedmce.folders.demands import Scale
from fedmce.folders.findings import EXAMPLES, Example, Findings
from fedmce.folders.layout import FolderModality
from fedmce.folders.media import Values, decode
from fedmce.folders.pass_paths import Fault
from fedmce.folders.pass_values import ABSENT_FIX, judge
from fedmce.folders.probe import BombError, entries, probe
from fedmce.folders.tally import Tally

WHOLE = "a file that its decoder reads"


class RefusedError(Exception):
    """A file that cannot be a sample; the argument is its :class:`Fault`."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


def check_files(
    folder: Path,
    name: str,
    paths: Sequence[str],
    modality: FolderModality,
    most_entries: int,
    scale: Scale | None,
    file: str,
    findings: Findings,
) -> None:
    """Decode every file of a column.

    Args:
        folder: the folder.
        name: of the modality.
        paths: relative, each once, all of readable regular files.
        modality: of ``site.yaml``.
        most_entries: that one file may decode to.
        scale: of the federation, None = not stated.
        file: the table.
        findings: collects.
    """
    faults: dict[str, list[Fault]] = defaultdict(list)
    tally = Tally()
    for number, given in enumerate(paths):
        try:
            values = sample(folder / given, given, modality, most_entries)
        except RefusedError as refused:
            faults[refused.fault.case].append(refused.fault)
            continue
        flat = values.reshape(1, -1)
        finite = np.isfinite(flat)
        tally.add(flat, np.array([number]), None if finite.all() else finite)
    for case, found in faults.items():
        shown = [Example("", fault.given) for fault in found[:EXAMPLES]]
        findings.many(case, file, f'column "{name}"', shown, len(found), found[0].allowed, found[0].fix)
    judge(tally, f'{file}, column "{name}"', lambda number: repr(paths[number]), scale, findings)


def sample(path: Path, given: str, modality: FolderModality, most_entries: int) -> Values:
    """One file as the loader reads it.

    Raises:
        RefusedError: D42, D50, D51, D52 or D53.
    """
    if not path.stat().st_size:
        raise RefusedError(Fault("D51", f"{given!r}, an empty file", WHOLE, "copy it again from the source"))
    try:
        if (size := entries(path, modality)) > most_entries:
            raise BombError(f"{size:,} entries")
        shapes = probe(path, modality)
    except BombError as bomb:
        words = str(bomb) or "more than its library opens"
        allowed = f"at most {most_entries:,} entries once decoded"
        raise RefusedError(Fault("D53", f"{given!r}, {words}", allowed, "shrink it")) from None
    except Exception as error:  # decoders raise whatever they like on a broken file
        raise RefusedError(_broken(given, error)) from None
    if shapes and shapes[0] != shapes[1]:
        raise RefusedError(_misshapen(given, shapes[0], modality))
    try:
        values = decode(path, modality)
    except DataError as error:
        raise RefusedError(_broken(given, error.__context__ or error)) from None
    wrong = np.isinf(values) if modality.holes else ~np.isfinite(values)
    if wrong.any() or np.isnan(values).all():
        fix = f"{ABSENT_FIX}; where NaN stands for an entry that was not recorded, set holes: true"
        raise RefusedError(Fault("D42", f"{given!r} holds NaN or infinity", "finite numbers", fix))
    return values


def _misshapen(given: str, shape: tuple[int, ...], modality: FolderModality) -> Fault:
    fix = "bring all files to one size, or set fit: resize (images, recordings)"
    return Fault("D52", f"{given!r} of shape {list(shape)}", f"{list(modality.shape)} as in site.yaml", fix)


def _broken(given: str, error: BaseException) -> Fault:
    if isinstance(error, ImportError):
        library = error.name or "its decoder"
        return Fault("D51", f"{given!r}, {library} is not installed", WHOLE, f"pip install {library}")
    if isinstance(error, PermissionError):
        return Fault("D50", f"{given!r}, not readable", "readable by the user that trains", "chmod u+r")
    if isinstance(error, DataError):  # no kind of file that a decoder is known for, or no shape for it
        return Fault("D51", f"{given!r}, {str(error).partition(': ')[2].partition(';')[0]}", WHOLE, "convert it")
    return Fault(
        "D51", f"{given!r}, its decoder fails ({type(error).__name__})", WHOLE, "copy it again from the source"
    )
