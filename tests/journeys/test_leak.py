"""Hidden values are gone before any code that trains: other values in their place change no bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fedmce.data import FederatedDataset
from tests.journeys.runs import model_bytes, record, result, run, without_clock
from tests.server.made import METHODS, made_config, made_dataset, use, with_garbage

NOISE = np.random.default_rng(1)
GARBAGE = {
    "random numbers": lambda count: NOISE.normal(size=count).astype(np.float32),
    "a million": lambda count: np.full(count, 1e6, np.float32),
    "nan": lambda count: np.full(count, np.nan, np.float32),
}


@pytest.mark.parametrize("method", METHODS)
def test_hidden_values_change_no_bit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, method: str) -> None:
    config = made_config(method)
    plain = run_on(monkeypatch, made_dataset(), config, tmp_path / "plain")
    for name, garbage in GARBAGE.items():
        spoilt = with_garbage(made_dataset(), config, garbage)
        other = run_on(monkeypatch, spoilt, config, tmp_path / name.replace(" ", "-"))
        assert model_bytes(other) == model_bytes(plain), name
        assert without_clock(result(other)) == without_clock(result(plain)), name
        assert record(other) == record(plain), name


def test_the_values_that_were_replaced_are_many_and_the_others_matter(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The test above proves something: it replaces whole modalities, and one shown value changes the model."""
    config, dataset = made_config(), made_dataset()
    spoilt = with_garbage(dataset, config, GARBAGE["a million"])
    changed = {
        (site, m): float((spoilt.sites[site].features[m] != dataset.sites[site].features[m]).mean())
        for site in dataset.sites
        for m in dataset.sites[site].features
    }
    assert changed["birch", "sound"] >= 0.7  # all but the test rows
    assert changed["dale", "image"] >= 0.7
    assert 0.3 < changed["cedar", "image"] < 0.5
    assert changed["ash", "image"] == 0
    plain = run_on(monkeypatch, dataset, config, tmp_path / "plain")
    touched = made_dataset()
    touched.sites["ash"].features["sound"][0] += 1
    assert model_bytes(run_on(monkeypatch, touched, config, tmp_path / "touched")) != model_bytes(plain)


def run_on(patch: pytest.MonkeyPatch, dataset: FederatedDataset, config: object, folder: Path) -> Path:
    use(patch, dataset)
    return run(config, folder)  # type: ignore[arg-type]
