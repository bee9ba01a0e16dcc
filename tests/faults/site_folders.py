"""A good site folder that a test breaks in one way, and what a check of it must do whatever it finds."""

from __future__ import annotations

import io
import json
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from fedmce.folders import yaml_core
from fedmce.folders.check import Report, check_folder
from fedmce.folders.demands import Demands

ROWS = 60
TYPES = {"sample_id": pa.string(), "target": pa.int64(), "split": pa.string()}


@dataclass
class Folder:
    """A folder in memory; change it, then :meth:`write` it."""

    path: Path
    site: dict[str, Any]
    columns: dict[str, Any]
    arrays: dict[str, np.ndarray]
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def table(self) -> Path:
        return self.path / "samples.parquet"

    def array(self, name: str) -> Path:
        return self.path / "features" / f"{name}.npy"

    def write(self, as_csv: bool = False) -> Folder:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.path / "features").mkdir(mode=0o700, exist_ok=True)
        self.write_yaml(yaml_core.dump(self.site))
        self.write_csv() if as_csv else self.write_table()
        for name, values in self.arrays.items():
            np.save(self.array(name), values, allow_pickle=False)
        for name, content in self.files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(content)
        return self

    def write_yaml(self, text: str | bytes) -> None:
        (self.path / "site.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())

    def write_table(self, **options: Any) -> None:
        arrays = {
            name: cells if isinstance(cells, pa.Array) else pa.array(cells, TYPES.get(name))
            for name, cells in self.columns.items()
        }
        pq.write_table(pa.table(arrays), self.table, **options)

    def write_csv(self) -> None:
        """The same table as CSV in place of Parquet."""
        self.table.unlink(missing_ok=True)
        lines = [",".join(self.columns)]
        for row in zip(*self.columns.values(), strict=True):
            lines.append(",".join("" if cell is None else str(cell) for cell in row))
        (self.path / "samples.csv").write_text("\n".join(lines) + "\n")


def png(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(out, format="PNG")
    return out.getvalue()


def good_folder(path: Path, rows: int = ROWS, seed: int = 0) -> Folder:
    """Three modalities with gaps: two arrays, and one of PNG files."""
    draw = np.random.default_rng(seed)
    columns: dict[str, Any] = {
        "sample_id": [f"p-{row:04d}" for row in range(rows)],
        "target": [row % 2 for row in range(rows)],
        "split": [("train", "train", "train", "val", "test")[row % 5] for row in range(rows)],
    }
    arrays = {}
    for name, gap, shape in (("image", 3, (1, 4, 4)), ("lab", 4, (3,))):
        there = [row % gap != 1 for row in range(rows)]
        arrays[name] = draw.normal(size=(sum(there), *shape)).astype(np.float32)
        numbers = np.cumsum(there) - 1
        columns[name] = [int(n) if held else None for n, held in zip(numbers, there, strict=True)]
    columns["scan"] = [f"scans/{row}.png" if row % 4 == 1 else None for row in range(rows)]
    files = {name: png(draw.integers(1, 255, (5, 6))) for name in columns["scan"] if name}
    site = {
        "format": 1,
        "site": "north",
        "task": {"kind": "classification", "classes": ["benign", "malignant"], "metric": "accuracy"},
        "modalities": {
            "image": {"kind": "image", "shape": [1, 4, 4], "dtype": "float32", "units": "grey, 0 to 1"},
            "lab": {"kind": "tabular", "shape": [3], "dtype": "float32"},
            "scan": {"kind": "image", "shape": [1, 5, 6]},
        },
        "release": {"k_min": 2, "min_rows": 4, "single_holder": "accept"},
        "allow_links": False,
        "shared_rows": False,
        "private": True,
    }
    return Folder(path, site, columns, arrays, files)


def snapshot(path: Path) -> dict[str, Any]:
    """Every entry under a folder: kind and mode, time of change, bytes or target."""
    found: dict[str, Any] = {}
    for place in [path, *sorted(path.rglob("*"))] if path.is_dir() else [path]:
        if not os.path.lexists(place):
            continue
        about = place.lstat()
        content: Any = None
        if stat.S_ISLNK(about.st_mode):
            content = os.readlink(place)
        elif stat.S_ISREG(about.st_mode):
            content = place.read_bytes()
        found[str(place)] = (about.st_mode, about.st_mtime_ns, about.st_size, content)
    return found


def checked(folder: Folder | Path, demands: Demands | None = None) -> Report:
    """Check a folder; nothing in it may change, and every finding must be whole."""
    path = folder.path if isinstance(folder, Folder) else folder
    before = snapshot(path)
    report = check_folder(path, demands=demands)
    assert snapshot(path) == before
    json.dumps(report.to_json(), allow_nan=False)
    for finding in report.findings:
        lines = finding.text().splitlines()
        assert 3 <= len(lines) <= 4, lines
        assert lines[0].startswith(finding.case)
        assert [line.split(":")[0].strip() for line in lines[-2:]] == ["allowed", "fix"]
        assert len(finding.examples) <= 20
        assert "\x1b" not in finding.text()
    return report


def expect(
    folder: Folder | Path, *errors: str, warns: Iterable[str] = (), demands: Demands | None = None, only: bool = False
) -> Report:
    """The check finds exactly these errors, and at least these warnings (``only``: exactly these)."""
    report = checked(folder, demands)
    assert sorted({finding.case for finding in report.errors}) == sorted(errors), report.text()
    found = {finding.case for finding in report.warnings}
    assert found == set(warns) if only else set(warns) <= found, report.text()
    assert report.exit_code == (3 if errors else 0)
    assert report.site_error == ("data_invalid" if errors else None)
    return report
