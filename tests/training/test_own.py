"""Predictions of a site that can read some modalities only."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from fedmce.missingness import SiteMask, observe
from fedmce.models import MultimodalNet
from fedmce.subsets import pattern_codes
from fedmce.training import DeviceRows, predict_own, predict_subsets
from tests.oracles.worlds import lively, make_site, plain_statistics, rows_of, small_spec

SPEC = small_spec(3)
PRIOR = np.array([0.2, 0.5, 0.3])
CODES = [7, 1, 6, 4, 2, 5, 3, 7]


def device_rows(codes: list[int]) -> DeviceRows:
    site = make_site("x", np.ones((len(codes), 3), dtype=bool))
    seen = observe(site, SiteMask(site.sample_ids, rows_of(codes, 3)), SPEC.modalities, "train")
    return DeviceRows(seen, plain_statistics(SPEC), SPEC.names, torch.device("cpu"))


@given(codes=st.lists(st.integers(1, 7), min_size=1, max_size=8), able=st.integers(1, 7))
def test_a_subset_is_answered_from_what_the_site_can_read_of_it_else_by_its_prior(codes: list[int], able: int) -> None:
    usable = tuple(name for bit, name in enumerate(SPEC.names) if able >> bit & 1)
    rows, net = device_rows(codes), lively(MultimodalNet(SPEC, usable))
    found = predict_own(net, rows, usable, PRIOR)
    everything = predict_subsets(lively(MultimodalNet(SPEC)), rows)
    assert np.array_equal(found.row, everything.row)
    assert np.array_equal(found.subset, everything.subset)  # under the code that was asked for
    assert np.array_equal(found.pattern, pattern_codes(rows.observed.available)[found.row])
    own = predict_subsets(net, device_rows([max(code & able, 0) or able for code in codes]))
    known = {(row, subset): p for row, subset, p in zip(own.row, own.subset, own.probability, strict=True)}
    for row, subset, probability in zip(found.row, found.subset, found.probability, strict=True):
        read = int(subset) & able
        np.testing.assert_allclose(probability, known[row, read] if read else PRIOR, rtol=1e-5)


def test_with_everything_usable_it_is_the_usual_prediction_to_the_bit() -> None:
    rows, net = device_rows(CODES), lively(MultimodalNet(SPEC))
    own, usual = predict_own(net, rows, SPEC.names, PRIOR), predict_subsets(net, rows)
    assert own.probability.tobytes() == usual.probability.tobytes()
    assert np.array_equal(own.subset, usual.subset)
    assert own.cells() == usual.cells()
