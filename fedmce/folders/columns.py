"""The table of samples for the checker: opened by its header, then read one column at a time.

Parquet columns come as Arrow has them; CSV cells are bytes, since a cell that is no UTF-8 must not hide the others.
pyarrow and not numpy holds them, so that a million names of files are no million Python objects.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedmce.folders.findings import Findings
from fedmce.folders.layout import SAMPLES

MOST_ROWS = 100_000_000
CODECS = ("UNCOMPRESSED", "SNAPPY", "ZSTD", "GZIP")
PARQUET = b"PAR1"


@dataclass
class OpenTable:
    """A table whose header is right.

    Attributes:
        file: its name.
        names: of the columns, in order; a name may be there twice.
        rows: how many.
        is_csv: cells are bytes.
        codecs: of the columns read so far.
    """

    path: Path
    names: list[str]
    rows: int
    is_csv: bool
    codecs: set[str] = field(default_factory=set)
    _cells: dict[str, Any] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """Name of the table within the folder."""
        return self.path.name

    def column(self, name: str) -> Any:
        """One column as one Arrow array; text and bytes as ``large_binary``.

        Raises:
            OSError, ValueError: the column cannot be read (Arrow's own errors are of these classes).
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.is_csv:
            return self._cells[name]
        with pq.ParquetFile(self.path) as opened:
            read = opened.read(columns=[name], use_threads=False).column(0)
            self.codecs |= _codecs(opened, name)
        if pa.types.is_dictionary(read.type):
            read = read.cast(read.type.value_type)
        if _is_text(read.type):
            read = read.cast(pa.large_binary())
        whole = read.combine_chunks()
        return whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole

    def type_of(self, name: str) -> Any:
        """Arrow's type of a column as the file has it; the values' type of a dictionary."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.is_csv:
            return pa.string()
        with pq.ParquetFile(self.path) as opened:
            kind = opened.schema_arrow.field(name).type
        return kind.value_type if pa.types.is_dictionary(kind) else kind


def open_table(folder: Path, findings: Findings) -> OpenTable | None:
    """Find the table and read its header; None, with a finding, if that fails."""
    there = [name for name in SAMPLES if os.path.lexists(folder / name)]
    if not there:
        fix = "export the table of samples, or make it with `fedmce site import`"
        findings.error("D12", SAMPLES[0], "", "not there", f"{' or '.join(SAMPLES)}", fix)
        return None
    if len(there) > 1:
        fix = f"remove the one that is not meant; {there[0]} is read"
        findings.warning("D12", there[1], "", "a second table", f"{' or '.join(SAMPLES)}", fix)
    path = folder / there[0]
    try:
        if not path.is_file():
            findings.error("D49", path.name, "", "no regular file", "a regular file", "replace it")
            return None
        return _open_csv(path, findings) if path.suffix == ".csv" else _open_parquet(path, findings)
    except PermissionError:
        fix = f"chmod u+r {path.name} (uid {os.geteuid()})"
        findings.error("D50", path.name, "", "not readable", "readable by the user that trains", fix)
    except OSError as error:
        _unreadable(path, f"{type(error).__name__}", findings)
    return None


def _unreadable(path: Path, why: str, findings: Findings, allowed: str = "") -> None:
    given = f"{why}; {path.stat().st_size:,} bytes" if path.exists() else why
    allowed = allowed or ("UTF-8 text with a header" if path.suffix == ".csv" else "a whole Parquet file")
    findings.error("D13", path.name, "", given, allowed, "write it again")


def _open_parquet(path: Path, findings: Findings) -> OpenTable | None:
    import pyarrow.parquet as pq

    if why := _no_parquet(path):
        _unreadable(path, why, findings)
        return None
    try:
        with pq.ParquetFile(path) as opened:
            rows, names = opened.metadata.num_rows, list(opened.schema_arrow.names)
    except Exception as error:  # Arrow raises more than its own errors on a broken footer
        _unreadable(path, f"its footer cannot be read ({type(error).__name__})", findings)
        return None
    return _not_too_large(OpenTable(path, names, rows, is_csv=False), findings)


def check_codecs(table: OpenTable, findings: Findings) -> None:
    """Columns that were read are compressed as every reader of Parquet knows it."""
    if other := table.codecs - set(CODECS):
        _unreadable(table.path, f"compressed by {', '.join(sorted(other))}", findings, f"one of {', '.join(CODECS)}")


def _codecs(opened: Any, name: str) -> set[str]:
    """Codecs of a column that has been read: of a broken footer Arrow's metadata ends the process, its reader does not."""
    about = opened.metadata
    at = next(at for at in range(about.num_columns) if opened.schema.column(at).path == name)
    return {about.row_group(group).column(at).compression for group in range(about.num_row_groups)}


def _no_parquet(path: Path) -> str:
    """Why the file cannot be Parquet, from its first and last bytes; empty if it may be."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 12:
            return "too short for Parquet"
        head = file.read(4)
        file.seek(size - 8)
        tail = file.read(8)
    if b"PARE" in (head, tail[4:]):
        return "encrypted"
    if head != PARQUET:
        return "not Parquet"
    if tail[4:] != PARQUET:
        return "cut off: the end of a Parquet file is missing"
    return "a footer longer than the file" if int.from_bytes(tail[:4], "little") > size - 12 else ""


def _not_too_large(table: OpenTable, findings: Findings) -> OpenTable | None:
    if table.rows > MOST_ROWS:
        fix = "divide the rows over several sites"
        findings.error("D59", table.file, "", f"{table.rows:,} rows", f"at most {MOST_ROWS:,} rows", fix)
        return None
    return table


def _open_csv(path: Path, findings: Findings) -> OpenTable | None:
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            names = next(csv.reader(file), [])
    except (UnicodeDecodeError, csv.Error) as error:
        _unreadable(path, f"its header cannot be read ({type(error).__name__})", findings)
        return None
    if len(names) < 2:
        _unreadable(path, "a header without commas" if names else "empty", findings)
        return None
    try:
        read = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types={name: pa.large_binary() for name in names},
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                check_utf8=False,
            ),
        )
    except (pa.ArrowException, ValueError, OSError) as error:
        _unreadable(path, f"lines that do not fit the header ({type(error).__name__})", findings)
        return None
    cells = {name: read.column(at).combine_chunks() for at, name in enumerate(names)}
    return _not_too_large(OpenTable(path, names, read.num_rows, is_csv=True, _cells=cells), findings)


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
