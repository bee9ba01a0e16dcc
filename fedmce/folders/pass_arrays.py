"""Pass V over all modalities: arrays in windows, files one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedmce.folders.declared import Declared
from fedmce.folders.demands import Demands
from fedmce.folders.findings import Findings
from fedmce.folders.layout import FEATURES
from fedmce.folders.pass_cells import Cells
from fedmce.folders.pass_files import check_files
from fedmce.folders.pass_table import Table
from fedmce.folders.pass_values import check_array


def check_values(folder: Path, site: Declared, table: Table, demands: Demands, findings: Findings) -> None:
    """Every value that a sample of the table points at."""
    for name, modality in site.modalities.items():
        cells, scale = table.cells.get(name), demands.scales.get(name)
        if cells is not None and cells.paths is not None:
            paths = table.paths[name]
            check_files(folder, name, paths, modality, demands.most_entries, scale, table.file, findings)
        elif name in table.headers:
            header, file = table.headers[name], f"{FEATURES}/{name}.npy"
            owner = _owner(cells, header.shape[0])
            check_array(folder / file, file, header, modality, owner, table.ids, scale, findings)


def _owner(cells: Cells | None, rows: int) -> npt.NDArray[np.int64]:
    """The first row of the table that names each row of an array, -1 = nobody, int64 ``(rows,)``."""
    owner = np.full(rows, -1, dtype=np.int64)
    if cells is not None:
        named = np.flatnonzero(cells.there & (cells.numbers >= 0) & (cells.numbers < rows))[::-1]
        owner[cells.numbers[named]] = named  # of equal places the last one written stays: the first row
    return owner
