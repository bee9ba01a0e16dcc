"""Pass H: columns of the table by their names and types, and the headers of the arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from fedmce.config.nearest import nearest
from fedmce.folders.columns import OpenTable
from fedmce.folders.declared import Declared
from fedmce.folders.findings import Findings
from fedmce.folders.layout import FEATURES, ID, SPLIT, TARGET, FolderModality
from fedmce.folders.npy_header import NpyError, NpyHeader, read_npy_header

Kind = Literal["text", "whole", "number", "nothing", "bytes", "other"]
ALLOWED: dict[str, tuple[Kind, ...]] = {
    ID: ("text", "whole", "nothing"),
    SPLIT: ("text", "nothing"),
    TARGET: ("text", "whole", "number", "nothing"),
}
CELLS: tuple[Kind, ...] = ("text", "whole", "number", "nothing")  # of a modality
WORDS = {ID: "texts", SPLIT: "texts", TARGET: "numbers or names of classes"}
FLOATS = ("float16", "float32", "float64")


def check_columns(table: OpenTable, site: Declared, findings: Findings) -> dict[str, Kind]:
    """Names and types of the columns.

    Returns:
        The needed columns that can be read, with what their cells are.
    """
    needed = (ID, TARGET, SPLIT, *site.modalities)
    _check_names(table, needed, site.names, findings)
    found: dict[str, Kind] = {}
    for name in needed:
        if table.names.count(name) != 1:
            continue
        try:
            kind, told = _kind(table.type_of(name))
        except Exception as error:  # a footer with one wrong bit
            _unreadable(table, name, error, findings)
            continue
        if kind in ALLOWED.get(name, CELLS):
            found[name] = kind
        elif kind == "bytes" and name in (TARGET, SPLIT):
            fix = "cast the column to one type before writing it"
            findings.error("D64", table.file, f'column "{name}"', "bytes, or texts and bytes mixed", WORDS[name], fix)
        else:
            allowed = WORDS.get(name, "whole numbers or paths, empty for absent")
            findings.error("D16", table.file, f'column "{name}"', f"type {told}", allowed, "cast the column")
    return found


def _check_names(table: OpenTable, needed: Iterable[str], declared: Iterable[str], findings: Findings) -> None:
    needed, names = list(needed), table.names
    for name in needed:
        if (times := names.count(name)) > 1:
            findings.error(
                "D15", table.file, f'column "{name}"', f"there {times} times", "each name once", "remove one"
            )
        elif not times:
            others = [other for other in names if other.lower() == name.lower() and other not in needed]
            if others:
                fix = f"rename the column to {name!r}"
                findings.error("D15", table.file, f'column "{others[0]}"', others[0], f"exactly {name!r}", fix)
                continue
            hit = nearest(name, [other for other in names if other not in needed])
            fix = f"add the column, or rename {hit!r}" if hit else "add the column"
            findings.error("D14", table.file, f'column "{name}"', "not there", ", ".join(needed), fix)
    known = {name.lower() for name in (*needed, *declared)}
    clash = [name for name in names if name not in needed and name.lower() in known and name.lower() != name]
    for name in clash:
        exact = next((other for other in needed if other.lower() == name.lower()), None)
        if exact is not None and exact in names:
            fix = f"remove the column, or rename it so that it is not taken for {exact!r}"
            findings.error("D15", table.file, f'column "{name}"', name, f"exactly {exact!r}, once", fix)
    further = [name for name in names if name.lower() not in known]
    if further:
        given = f"{len(further)} further: {', '.join(further)}"
        findings.warning("D15", table.file, "columns", given, "ignored", "declare them as modalities if they are any")


def _unreadable(table: OpenTable, name: str, error: Exception, findings: Findings) -> None:
    given = f"cannot be read ({type(error).__name__})"
    findings.error("D13", table.file, f'column "{name}"', given, "a whole column", "write the table again")


def _kind(kind: Any) -> tuple[Kind, str]:
    import pyarrow as pa

    types = pa.types
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return "text", str(kind)
    if types.is_integer(kind):
        return "whole", str(kind)
    if types.is_floating(kind):
        return "number", str(kind)
    if types.is_null(kind):
        return "nothing", str(kind)
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind):
        return "bytes", str(kind)
    return "other", str(kind)


def check_arrays(
    folder: Path, modalities: Mapping[str, FolderModality], used: Iterable[str], findings: Findings
) -> dict[str, NpyHeader]:
    """Headers of ``features/<modality>.npy``.

    Args:
        folder: the folder.
        modalities: the right sections of ``site.yaml``.
        used: modalities whose column holds row numbers; only their arrays must be there.
        findings: collects.

    Returns:
        The arrays that can be read.
    """
    found: dict[str, NpyHeader] = {}
    for name, modality in modalities.items():
        path, file = folder / FEATURES / f"{name}.npy", f"{FEATURES}/{name}.npy"
        try:
            if not os.path.lexists(path):
                if name in used:
                    allowed = f"the array that the row numbers of column {name!r} point into"
                    findings.error("D36", file, "", "not there", allowed, "export it again")
                continue
            if not path.is_file():
                findings.error("D49", file, "", "no regular file", "a regular file", "replace it")
                continue
            found[name] = read_npy_header(path)
        except NpyError as fault:
            findings.error(fault.case, file, "", fault.given, fault.allowed, fault.fix)
            continue
        except PermissionError:
            allowed, fix = "readable by the user that trains", f"chmod u+r {file} (uid {os.geteuid()})"
            findings.error("D50", file, "", "not readable", allowed, fix)
            continue
        except OSError as error:
            findings.error("D50", file, "", f"not readable ({type(error).__name__})", "readable", "check the disk")
            continue
        _compare(found[name], modality, file, findings)
        if found[name].shape[1:] != modality.shape:
            del found[name]
    return found


def _compare(header: NpyHeader, modality: FolderModality, file: str, findings: Findings) -> None:
    if header.shape[1:] != modality.shape:
        given = f"samples of shape {list(header.shape[1:])}"
        findings.error(
            "D40", file, "", given, f"{list(modality.shape)} as in site.yaml", "export it again, or correct shape"
        )
    if header.dtype != modality.dtype:
        integer = header.dtype not in FLOATS and modality.dtype in FLOATS
        fix = f'cast at export: array.astype("{modality.dtype}")' if integer else f"declare dtype: {header.dtype}"
        findings.warning("D47", file, "", header.dtype, f"{modality.dtype} as in site.yaml", fix)
