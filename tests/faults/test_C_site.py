"""Rows that leave a training with little: batches without a modality, batches of one row (group C, in process)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from client.rounds import Answer, answer
from client.workplace import open_workplace
from fedmce.data import FederatedDataset, SiteRows
from fedmce.flower_compat import RecordDict
from tests.client.test_site import SCALES, order_for, part_for
from tests.server.made import made_config, made_dataset, made_site, use

HELD = ("image", "sound", "blood")
METHODS = ("fedmce", "modality_dropout", "fedavg_zero")


def without_blood(rows: np.ndarray[Any, Any]) -> SiteRows:
    site = made_site("ash")
    available, blood = site.available.copy(), site.features["blood"].copy()
    available[rows, 2], blood[rows] = False, np.nan
    return replace(site, available=available, features=site.features | {"blood": blood})


def trained(patch: pytest.MonkeyPatch, dataset: FederatedDataset, **changes: Any) -> tuple[Answer, dict[str, Any]]:
    use(patch, dataset)
    config = made_config(missingness={"name": "natural"}, training__weight_decay=0.1, **changes)
    place = open_workplace(config.to_json(), "ash")
    part = part_for(place, HELD)
    return answer(place, order_for(place, HELD), part, {m: SCALES[m] for m in HELD}, RecordDict()), part


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("batch_size", [1, 5])
def test_C13_batches_of_one_row_and_without_a_modality_stay_finite(
    monkeypatch: pytest.MonkeyPatch, method: str, batch_size: int
) -> None:
    # Rows in which blood is there are few, so most batches have none of it.
    site = without_blood(np.arange(40) % 12 != 0)
    said, part = trained(monkeypatch, made_dataset(site), method=method, training__batch_size=batch_size)
    assert all(np.isfinite(value).all() for value in said.trained.values())
    assert all(np.all(np.isfinite(value)) for value in said.numbers.values())
    assert any(not np.array_equal(said.trained[key], part[key]) for key in part if key.startswith("encoder.blood"))


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_C13_what_no_row_trained_got_no_gradient_rather_than_one_of_zero(
    monkeypatch: pytest.MonkeyPatch, optimiser: str
) -> None:
    """A gradient of zero would still let weight decay and momentum move it."""
    site = without_blood(np.arange(40) >= 0)
    said, part = trained(monkeypatch, made_dataset(site), method="modality_dropout", training__optimiser=optimiser)
    blood = [key for key in part if key.startswith(("encoder.blood", "head.blood"))]
    assert blood
    assert all(np.array_equal(said.trained[key], part[key]) for key in blood)
    assert said.numbers["rows.encoder.blood"] == 0
    assert any(not np.array_equal(said.trained[key], part[key]) for key in part if key.startswith("encoder.image"))


@pytest.mark.parametrize("method", ["fedmce", "modality_dropout"])
def test_C14_a_modality_on_validation_rows_alone_is_neither_trained_nor_released(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    site = made_site("ash")
    site = without_blood(np.flatnonzero(site.split != "validation"))
    assert site.available[site.split == "validation", 2].any()
    said, part = trained(monkeypatch, made_dataset(site), method=method)
    blood = [key for key in part if key.startswith(("encoder.blood", "head.blood", "completion.blood"))]
    assert blood
    assert all(np.array_equal(said.trained[key], part[key]) for key in blood)
    assert said.numbers["rows.encoder.blood"] == 0
    assert said.numbers["rows.encoder.image"] > 0
