"""What the server's own rows say beyond scores per subset, on the made federation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset
from fedmce.missingness import SiteMask, draw_masks, observe
from fedmce.models import MultimodalNet, state_of
from fedmce.networks import spec_for
from fedmce.subsets import scored_subsets
from fedmce.training import DeviceRows, pick_device, predict_full, predict_subsets
from server.scoring import TestRows as RowsAtServer
from tests.oracles.worlds import lively
from tests.server.made import SITES, made_config, made_dataset
from tests.server.test_sources import SCALES

NAMES = ("image", "sound", "blood")


def scored(config: RunConfig, dataset: FederatedDataset, last: bool = True) -> tuple[dict[str, Any], MultimodalNet]:
    """Fields of a lively model, and the model."""
    spec = spec_for(dataset, config)
    net = lively(MultimodalNet(spec)).eval()
    return RowsAtServer(dataset, config, spec, SCALES, 0.4).score(state_of(net), last=last), net


def on_device(dataset: FederatedDataset, site: str, mask: SiteMask, split: str) -> DeviceRows:
    rows = observe(dataset.sites[site], mask, dataset.modalities, split)  # type: ignore[arg-type]
    return DeviceRows(rows, SCALES, NAMES, pick_device("cpu"))


def natural(dataset: FederatedDataset, site: str) -> SiteMask:
    return SiteMask(dataset.sites[site].sample_ids, dataset.sites[site].available)


def test_as_available_answers_each_test_row_with_what_it_holds_and_each_validation_row_as_its_site_sees_it() -> None:
    config, dataset = made_config(), made_dataset()
    fields, net = scored(config, dataset)
    masks = draw_masks(dataset, config.missingness, config.seed)
    for split in ("test", "validation"):
        right = {}
        for site in SITES:
            mask = natural(dataset, site) if split == "test" else masks.sites[site]
            right[site] = predict_full(net, on_device(dataset, site, mask, split)).right
        found = fields["as_available"][split]
        assert found["per_site"] == {site: pytest.approx(r.mean()) for site, r in right.items()}
        assert found["score"] == pytest.approx(np.concatenate(list(right.values())).mean())
        assert found["rows"] == sum(len(r) for r in right.values())
        assert found["fairness"]["worst"] == min(found["per_site"].values())


def test_calibration_and_f1_are_of_every_scored_subset_and_of_all_sites_together() -> None:
    config, dataset = made_config(), made_dataset()
    fields, net = scored(config, dataset, last=False)
    found = [predict_subsets(net, on_device(dataset, s, natural(dataset, s), "test")) for s in SITES]
    subset, target = (np.concatenate([getattr(p, part) for p in found]) for part in ("subset", "target"))
    probability = np.concatenate([p.probability for p in found])
    squares = np.square(probability - np.eye(3)[target]).sum(axis=1)
    brier = fields["calibration"]["brier"]
    for name, code in scored_subsets(NAMES).items():
        assert brier["per_subset"][name] == pytest.approx(squares[subset == code].mean())
        assert 0 <= fields["calibration"]["expected_calibration_error"]["per_subset"][name] <= 1
        assert 0 <= fields["secondary"]["macro_f1"][name] <= 1
    assert brier["pooled_subset"] == pytest.approx(squares.mean())
    assert brier["mean_subset"] == pytest.approx(np.mean(list(brier["per_subset"].values())))
    assert fields["overall"].keys() == {"accuracy", "balanced_accuracy", "macro_f1"}
    assert fields["overall"]["accuracy"]["pooled_subset"] == pytest.approx((probability.argmax(1) == target).mean())


def test_hidden_entries_are_graded_at_the_end_only_and_only_where_heads_complete_tokens() -> None:
    fields, _ = scored(made_config(), made_dataset())
    graded = fields["completion_quality"]
    assert graded["use"] == "full"
    assert list(graded["per_modality"]) == list(NAMES)
    assert graded["per_modality"]["image"]["rows"] == 40  # ten test rows at each of four sites hold image and another
    assert all(-1 <= part["cosine"] <= 1 and part["normalised_error"] > 0 for part in graded["per_modality"].values())
    assert "completion_quality" not in scored(made_config(), made_dataset(), last=False)[0]
    assert scored(made_config("fedavg_owner"), made_dataset())[0]["completion_quality"] is None


def test_two_classes_are_scored_within_sites_throughout() -> None:
    dataset = made_dataset()
    sites = {n: replace(s, targets=np.minimum(s.targets, 1)) for n, s in dataset.sites.items()}
    sites["ash"] = replace(sites["ash"], targets=np.zeros_like(sites["ash"].targets))
    task = replace(dataset.task, classes=("no", "yes"), metric="auc_within_sites")
    fields, _ = scored(made_config(), replace(dataset, sites=sites, task=task))
    assert fields["overall"].keys() == {"auc_within_sites", "accuracy", "balanced_accuracy", "macro_f1"}
    for split in ("test", "validation"):
        assert fields["as_available"][split]["per_site"]["ash"] is None
        assert 0 <= fields["as_available"][split]["score"] <= 1
    assert fields["as_available"]["test"]["fairness"]["sites"] == 3
    assert 0 <= fields["completion_quality"]["per_modality"]["sound"]["without"] <= 1


def test_without_a_test_row_everything_is_undefined() -> None:
    dataset = made_dataset()
    sites = {n: replace(s, split=np.where(s.split == "test", "train", s.split)) for n, s in dataset.sites.items()}
    fields, _ = scored(made_config(), replace(dataset, sites=sites))
    assert fields["as_available"]["test"]["score"] is None
    assert set(fields["calibration"]["brier"]["per_subset"].values()) == {None}
    assert fields["overall"]["macro_f1"] == {"mean_subset": None, "pooled_subset": None}
    assert all(part["cosine"] is None for part in fields["completion_quality"]["per_modality"].values())
