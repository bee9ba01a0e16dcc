"""Predictions of all subsets at once against one at a time, and what is made of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedmce.contributions import contributions
from fedmce.missingness import SiteMask, observe
from fedmce.models import MultimodalNet, Statistics
from fedmce.subsets import members
from fedmce.training import DeviceRows, predict_subsets
from fedmce.training import evaluation as room
from tests.oracles.mce_rows import Row, fused_logits, tokens_of
from tests.oracles.worlds import lively, make_site, plain_statistics, rows_of, small_spec

CODES = [7, 1, 6, 4, 2, 5, 3, 7]
SPEC = small_spec(3)
NET = lively(MultimodalNet(SPEC))


def device_rows(codes: list[int] = CODES) -> DeviceRows:
    site = make_site("x", np.ones((len(codes), 3), dtype=bool))
    seen = observe(site, SiteMask(site.sample_ids, rows_of(codes, 3)), SPEC.modalities, "train")
    return DeviceRows(seen, plain_statistics(SPEC), SPEC.names, torch.device("cpu"))


@pytest.mark.parametrize("fusion", ["additive", "concat", "late", "mean", "residual", "transformer"])
@torch.no_grad()
def test_predictions_of_all_subsets_equal_those_of_one_row_and_subset_at_a_time(fusion: str) -> None:
    net, rows = lively(MultimodalNet(small_spec(3, fusion))), device_rows()
    found = predict_subsets(net, rows)
    site = make_site("x", np.ones((len(CODES), 3), dtype=bool))
    assert len(found.row) == sum(2 ** code.bit_count() - 1 for code in CODES)
    for pair, (row, subset) in enumerate(zip(found.row, found.subset, strict=True)):
        names = [n for n, inside in zip(SPEC.names, members(np.array([subset]), 3)[0], strict=True) if inside]
        one = Row({n: torch.from_numpy(site.features[n][row]) for n in names}, 0)
        expected = fused_logits(net, tokens_of(net, one), names).softmax(dim=0)
        np.testing.assert_allclose(found.probability[pair], expected.numpy(), rtol=1e-4, atol=1e-6)
        assert found.pattern[pair] == CODES[row]
        assert found.target[pair] == site.targets[row]


def test_rows_are_cut_into_chunks_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = predict_subsets(NET, device_rows())
    monkeypatch.setattr(room, "CHUNK", 3)
    cut = predict_subsets(NET, device_rows())
    assert np.array_equal(cut.row, whole.row)
    assert np.array_equal(cut.subset, whole.subset)
    np.testing.assert_allclose(cut.probability, whole.probability, rtol=1e-5)
    assert cut.alone is not None
    assert whole.alone is not None
    np.testing.assert_allclose(cut.alone, whole.alone, rtol=1e-5)


def test_no_rows_give_no_predictions() -> None:
    found = predict_subsets(NET, device_rows([]))
    assert len(found.row) == 0
    assert found.probability.shape == (0, 3)
    assert found.values(3).cells == {}
    assert found.cells()["accuracy"] == {}


@torch.no_grad()
def test_the_unimodal_heads_are_scored_where_the_modality_is_there() -> None:
    found, rows = predict_subsets(NET, device_rows()), device_rows()
    batch, _ = rows.batch(np.arange(8))
    assert found.alone is not None
    for column, name in enumerate(SPEC.names):
        guess = NET.head[name](NET.encoder[name](batch.values[name])).argmax(dim=1)
        held = batch.position[name]
        assert found.alone[held, column].argmax(axis=1).tolist() == guess.tolist()


def test_values_are_ones_where_the_prediction_is_right() -> None:
    found = predict_subsets(NET, device_rows())
    table = found.values(3)
    for (pattern, subset), (total, _, rows) in table.cells.items():
        here = (found.pattern == pattern) & (found.subset == subset)
        assert (total, rows) == (found.right[here].sum(), here.sum())
    assert set(contributions(table, SPEC.names, 0.0)) == set(SPEC.names)


def test_a_batch_holds_the_normalised_samples_of_its_rows() -> None:
    site = make_site("x", np.ones((len(CODES), 3), dtype=bool))
    mask = rows_of(CODES, 3)
    scales = {
        m.name: Statistics(np.full(m.statistics_shape, 0.5, np.float32), np.full(m.statistics_shape, 2, np.float32))
        for m in SPEC.modalities
    }
    seen = observe(site, SiteMask(site.sample_ids, mask), SPEC.modalities, "train")
    rows = DeviceRows(seen, scales, SPEC.names, torch.device("cpu"))
    chosen = np.array([6, 0, 3])
    batch, available = rows.batch(chosen)
    assert np.array_equal(available, mask[chosen])
    assert batch.targets.tolist() == site.targets[chosen].tolist()
    for column, name in enumerate(SPEC.names):
        held = np.flatnonzero(mask[chosen, column])
        assert batch.position[name].tolist() == held.tolist()
        np.testing.assert_allclose(batch.values[name].numpy(), (site.features[name][chosen[held]] - 0.5) / 2, rtol=1e-6)


def test_a_modality_that_no_chosen_row_holds_is_left_out_of_the_batch() -> None:
    batch, _ = device_rows().batch(np.array([1, 3]))
    assert set(batch.values) == set(batch.position) == {"a", "c"}
