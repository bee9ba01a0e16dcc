"""Heart disease at four hospitals (UCI, 1988): five blocks of tests with the gaps that they came with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedmce.config.schema import HeartDiseaseConfig
from fedmce.data import originals
from fedmce.data.dataset import FederatedDataset, Modality, SiteRows, Task, dataset
from fedmce.data.draws import stratified_split
from fedmce.errors import DataError
from fedmce.streams import generator

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")


@dataclass(frozen=True)
class Column:
    """One of the file's columns; ``codes`` are categories (one-hot), ``zero_is_hole`` marks a code for "not recorded"."""

    name: str
    position: int
    unit: str
    codes: tuple[int, ...] = ()
    zero_is_hole: bool = False

    @property
    def units(self) -> list[str]:
        """Unit of each feature that the column becomes."""
        return [f"{self.name} is {code}" for code in self.codes] or [f"{self.name} {self.unit}"]


AGE = Column("age", 0, "years")
SEX = Column("sex", 1, "(1 male, 0 female)")
CP = Column("cp", 2, "type of chest pain", codes=(1, 2, 3, 4))
TRESTBPS = Column("trestbps", 3, "mmHg, at rest", zero_is_hole=True)
CHOL = Column("chol", 4, "mg/dl", zero_is_hole=True)
FBS = Column("fbs", 5, "(1 fasting sugar above 120 mg/dl)")
RESTECG = Column("restecg", 6, "resting ECG", codes=(0, 1, 2))
THALACH = Column("thalach", 7, "beats per minute, highest reached")
EXANG = Column("exang", 8, "(1 angina under exercise)")
OLDPEAK = Column("oldpeak", 9, "mm ST depression, negative values are real")
SLOPE = Column("slope", 10, "slope of ST", codes=(1, 2, 3))
CA = Column("ca", 11, "vessels coloured by fluoroscopy, 0 to 3")
THAL = Column("thal", 12, "thallium scan", codes=(3, 6, 7))
TARGET, COLUMNS = 13, 14

BLOCKS: dict[str, tuple[Column, ...]] = {
    "history": (AGE, SEX, CP),
    "rest": (TRESTBPS, RESTECG),
    "labs": (CHOL, FBS),
    "stress": (THALACH, EXANG, OLDPEAK, SLOPE),
    "imaging": (CA, THAL),
}
MODALITIES = tuple(
    Modality(name, "tabular", (len(units),), "; ".join(units))
    for name, columns in BLOCKS.items()
    for units in [[unit for column in columns for unit in column.units]]
)
PROVENANCE = {
    **{name: f"real: {', '.join(c.name for c in columns)} of UCI Heart Disease" for name, columns in BLOCKS.items()},
    "labels": "real: narrowing of a coronary vessel by angiography (num > 0)",
    "sites": "real: hospitals in Cleveland (R. Detrano), Budapest (A. Janosi), Zurich and Basel (W. Steinbrunn, "
    "M. Pfisterer), VA Long Beach (R. Detrano); gaps are the files' own, none is simulated",
}
CAUTION = (
    "the mask predicts the label: which tests were done tells the hospital and the suspicion, so a pooled AUC mixes "
    "prevalence with medicine; read AUC within hospitals",
    "switzerland has 8 negatives among 123 patients: its own AUC swings with every split",
)


def parse(content: bytes, name: str) -> npt.NDArray[np.float64]:
    """Read a processed file: no header, 14 columns, ``?`` = missing.

    Args:
        content: the file's bytes.
        name: its name, for the message.

    Returns:
        ``(patients, 14)``; NaN where missing, also for a cholesterol or resting blood pressure of 0.

    Raises:
        DataError: a line has not 14 numbers, or a code is not one of the documented ones.
    """
    lines = [line for line in content.decode("ascii").splitlines() if line.strip()]
    try:
        table = np.array([[np.nan if cell == "?" else float(cell) for cell in line.split(",")] for line in lines])
    except ValueError as error:
        raise DataError(f"{name}: {error}; needed {COLUMNS} numbers or '?' per line, no header") from error
    if table.ndim != 2 or table.shape[1] != COLUMNS:
        raise DataError(f"{name}: table {table.shape}; needed {COLUMNS} columns")
    for column in (column for columns in BLOCKS.values() for column in columns):
        values = table[:, column.position]
        if column.zero_is_hole:
            values[values == 0] = np.nan
        strange = set(values[~np.isnan(values)]) - set(column.codes)
        if column.codes and strange:
            raise DataError(f"{name}: {column.name} holds {sorted(strange)}; needed codes {column.codes} or '?'")
    return table


def encode(table: npt.NDArray[np.float64], columns: tuple[Column, ...]) -> npt.NDArray[np.float32]:
    """Features of one block, ``(patients, features)``: numbers as they are, codes one-hot, holes NaN throughout."""
    parts = []
    for column in columns:
        values = table[:, column.position, None]
        if column.codes:
            values = np.where(np.isnan(values), np.nan, values == np.array(column.codes))
        parts.append(values)
    return np.concatenate(parts, axis=1).astype(np.float32)


def present(table: npt.NDArray[np.float64], columns: tuple[Column, ...]) -> npt.NDArray[np.bool_]:
    """Whether each patient has the block, ``(patients,)``: at least half of its columns were recorded."""
    recorded = ~np.isnan(table[:, [column.position for column in columns]])
    return np.asarray(recorded.mean(axis=1) >= 0.5, dtype=np.bool_)


def _site(hospital: str, table: npt.NDArray[np.float64], config: HeartDiseaseConfig, seed: int) -> SiteRows:
    targets = (table[:, TARGET] > 0).astype(np.int64)
    available = np.stack([present(table, columns) for columns in BLOCKS.values()], axis=1)
    features = {name: encode(table, columns) for name, columns in BLOCKS.items()}
    for index, name in enumerate(BLOCKS):
        # A stray value in a block that counts as absent must not leak into training.
        features[name][~available[:, index]] = np.nan
    rng = generator(seed, "heart_disease", "split", hospital)
    return SiteRows(
        name=hospital,
        sample_ids=tuple(f"{hospital}-{row:03d}" for row in range(len(table))),
        targets=targets,
        split=stratified_split(targets, config.validation_share, config.test_share, rng),
        features=features,
        available=available,
    )


@dataset("heart_disease")
def load(config: HeartDiseaseConfig, data_dir: Path | None, seed: int) -> FederatedDataset:
    """Load 920 patients of four hospitals; sample ids count the lines of each hospital's file from 0.

    Args:
        config: shares of validation and test rows, stratified inside each hospital.
        data_dir: holds ``heart_disease/`` with the four ``processed.*.data`` files.
        seed: root of the splits.

    Returns:
        Five tabular modalities (history 6, rest 4, labs 2, stress 6, imaging 4 features); NaN = hole.

    Raises:
        DataError: a file is absent, not the original, or malformed.
    """
    sites = {}
    for hospital in HOSPITALS:
        name = f"processed.{hospital}.data"
        sites[hospital] = _site(hospital, parse(originals.read("heart_disease", data_dir, name), name), config, seed)
    return FederatedDataset(
        name="heart_disease",
        modalities=MODALITIES,
        task=Task(classes=("healthy", "disease"), metric="auc_within_sites"),
        sites=sites,
        provenance=PROVENANCE,
        caution=CAUTION,
    )
