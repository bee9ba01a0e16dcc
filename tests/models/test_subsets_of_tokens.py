"""Law 4, and what a site that holds less than the whole network computes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.models import MultimodalNet, load_state, state_of
from fedmce.subsets import members, scored_subsets
from tests.oracles.worlds import NAMES, lively, make_batch, rows_of, small_spec

FUSIONS = ["additive", "concat", "late", "mean", "residual", "shaspec", "transformer"]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("junk", [3.7, -1e30, math.inf, math.nan])
@torch.no_grad()
def test_a_token_outside_the_subset_changes_nothing_not_even_nan(fusion: str, junk: float) -> None:
    net = lively(MultimodalNet(small_spec(3, fusion))).eval()
    for code in scored_subsets(NAMES[:3]).values():
        member = torch.from_numpy(members(np.array([code, code]), 3))
        tokens = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(code))
        spoilt = torch.where(member[:, :, None], tokens, junk)
        rows = torch.arange(2)
        assert torch.equal(net.fuse(tokens, rows, member), net.fuse(spoilt, rows, member))


@pytest.mark.parametrize("fusion", FUSIONS)
@torch.no_grad()
def test_a_token_inside_the_subset_matters(fusion: str) -> None:
    net = lively(MultimodalNet(small_spec(3, fusion))).eval()
    # Several rows: in a single one all hidden units that the token feeds may happen to be off.
    tokens, rows = torch.randn(16, 3, 4, generator=torch.Generator().manual_seed(0)), torch.arange(16)
    for code in scored_subsets(NAMES[:3]).values():
        member = torch.from_numpy(members(np.full(16, code), 3))
        for m in range(3):
            moved = tokens.clone()
            moved[:, m] += 1
            same = torch.equal(net.fuse(tokens, rows, member), net.fuse(moved, rows, member))
            assert same != bool(code >> m & 1)


@pytest.mark.parametrize("fusion", FUSIONS)
@torch.no_grad()
def test_pairs_of_one_call_do_not_see_each_other(fusion: str) -> None:
    net = lively(MultimodalNet(small_spec(3, fusion))).double().eval()
    tokens = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    row = torch.tensor([0, 1, 1, 0, 1])
    member = torch.from_numpy(rows_of([7, 1, 6, 2, 5], 3))
    together = net.fuse(tokens, row, member)
    for pair in range(5):
        alone = net.fuse(tokens[row[pair]][None], torch.tensor([0]), member[pair][None])
        torch.testing.assert_close(together[pair], alone[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("fusion", FUSIONS)
@settings(max_examples=6)
@given(held=st.sets(st.sampled_from(NAMES[:3]), min_size=1, max_size=2))
def test_a_network_of_fewer_modalities_equals_the_whole_one_on_rows_that_lack_the_rest(
    fusion: str, held: set[str]
) -> None:
    spec = small_spec(3, fusion)
    whole, part = lively(MultimodalNet(spec)), MultimodalNet(spec, held)
    state = state_of(whole)
    load_state(part, {key: state[key] for key in state_of(part)})
    code = sum(1 << i for i, name in enumerate(spec.names) if name in held)
    available = rows_of([code, code & -code], 3)
    batch, rows = make_batch(spec, available), torch.arange(2)
    answers = []
    for net in (whole, part):
        tokens = net.eval().encode(batch)
        answers.append(net.fuse(tokens, rows, torch.from_numpy(available), net.unimodal(tokens)))
    assert torch.equal(*answers)


@torch.no_grad()
def test_a_token_is_its_sample_encoded_and_zero_where_there_is_none() -> None:
    net = lively(MultimodalNet(small_spec(3)))
    available = rows_of([5, 2, 7], 3)
    batch = make_batch(net.spec, available)
    tokens = net.encode(batch)
    for column, name in enumerate(net.spec.names):
        for row in range(3):
            if not available[row, column]:
                assert not tokens[row, column].any()
                continue
            slot = batch.position[name].tolist().index(row)
            alone = net.encoder[name](batch.values[name][slot][None])[0]
            torch.testing.assert_close(tokens[row, column], alone)


@pytest.mark.parametrize("fusion", ["concat", "mean"])
@torch.no_grad()
def test_zero_input_is_literally_an_encoded_blank_in_place_of_what_is_absent(fusion: str) -> None:
    net = lively(MultimodalNet(small_spec(3, fusion, heads=False, completion=False, absent="zero_input")))
    plain = lively(MultimodalNet(small_spec(3, fusion, heads=False, completion=False)))
    available = rows_of([1, 6, 7, 2], 3)
    batch = make_batch(net.spec, available)
    mine = net.fuse(net.encode(batch), torch.arange(4), torch.from_numpy(available))
    inputs = {m.name: torch.zeros(4, *m.shape) for m in net.spec.modalities}
    for name, values in batch.values.items():
        inputs[name][batch.position[name]] = values
    tokens = torch.stack([plain.encoder[name](inputs[name]) for name in net.spec.names], dim=1)
    everything = torch.ones(4, 3, dtype=torch.bool)
    torch.testing.assert_close(mine, plain.fuse(tokens, torch.arange(4), everything))
    assert not torch.allclose(mine, plain.fuse(tokens, torch.arange(4), torch.from_numpy(available)))
