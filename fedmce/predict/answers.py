"""From a run folder and a file of samples to a CSV of predictions."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from fedmce.config.nearest import unknown
from fedmce.errors import ConfigError, DataError
from fedmce.predict.arrays import read_npz
from fedmce.predict.samples import Input, Samples, inputs
from fedmce.predict.table import read_csv
from fedmce.record.model_file import LoadedModel, load_model

CHUNK_ROWS = 1024
USES = ("off", "full", "mean")


def predict_file(run: Path, source: Path, output: Path | None = None, use_completion: str | None = None) -> int:
    """Predict every row of a file.

    Args:
        run: folder of a finished run.
        source: ``.npz`` (arrays named by modality) or ``.csv`` (tabular modalities); see docs/cli.md.
        output: CSV file to write, replaced if there; None writes to stdout.
        use_completion: ``off``, ``full`` or ``mean``: completed tokens for what a row lacks; default as trained.

    Returns:
        Number of rows predicted.

    Raises:
        DataError: no loadable model, a file that the model cannot take, or ``output`` cannot be written.
    """
    readers = {".npz": read_npz, ".csv": read_csv}
    if source.suffix.lower() not in readers:
        raise DataError(f"{source}: ending {source.suffix!r} given; needed .npz, or .csv for tabular modalities")
    if not source.is_file():
        raise DataError(f"{source}: no such file; needed samples to predict")
    if use_completion not in (None, *USES):
        raise ConfigError(f"--use-completion: {unknown('use', str(use_completion), USES)}")
    model = load_model(run)
    known = inputs(model.spec)
    samples = readers[source.suffix.lower()](source, known)
    probabilities = _predicted(model, samples, use_completion)
    classes = [str(name) for name in model.spec["classes"]]
    if output is None:
        _write(sys.stdout, samples, probabilities, known, classes)
        return len(probabilities)
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            _write(file, samples, probabilities, known, classes)
    except OSError as error:
        raise DataError(f"{output}: cannot be written ({error}); needed a file in a folder that exists") from None
    return len(probabilities)


def _predicted(model: LoadedModel, samples: Samples, use_completion: str | None) -> npt.NDArray[np.float64]:
    rows = len(samples.sample_ids)
    parts = [slice(start, start + CHUNK_ROWS) for start in range(0, rows, CHUNK_ROWS)]
    return np.concatenate(
        [
            model.predict({n: array[p] for n, array in samples.features.items()}, samples.available[p], use_completion)
            for p in parts
        ]
    )


def _write(
    file: TextIO,
    samples: Samples,
    probabilities: npt.NDArray[np.float64],
    known: tuple[Input, ...],
    classes: list[str],
) -> None:
    writer = csv.writer(file, lineterminator="\n")
    shares = [f"probability_{name}" for name in classes]
    writer.writerow(["sample_id", "prediction", "probability", *shares, "modalities"])
    for row, (sample_id, share) in enumerate(zip(samples.sample_ids, probabilities, strict=True)):
        best = int(share.argmax())
        held = "+".join(modality.name for column, modality in enumerate(known) if samples.available[row, column])
        writer.writerow([sample_id, classes[best], f"{share[best]:.6f}", *(f"{p:.6f}" for p in share), held])
