"""Blank samples: federated means of entries, and what an encoder makes of them in place of what is absent."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fedmce.models import MultimodalNet, Statistics, blank_sample, entry_sums, load_state, normalise, state_of
from tests.oracles.worlds import lively, make_batch, plain_statistics, rows_of, small_spec


def values(rows: int, mean: float) -> np.ndarray:
    return np.full((rows, 1), mean, np.float32)


def test_the_federated_mean_weighs_sites_by_their_rows() -> None:
    pooled = Statistics(np.zeros(1, np.float32), np.ones(1, np.float32))
    sums = {"x": entry_sums(values(50, 1.0)), "y": entry_sums(values(150, 3.0))}
    assert blank_sample(sums, pooled).tolist() == [2.5]  # 2.0 is the mean of means


def test_each_entry_has_a_mean_of_its_own_and_an_unseen_one_the_pooled() -> None:
    pooled = Statistics(np.full((1, 1), 9, np.float32), np.ones((1, 1), np.float32))
    seen = np.array([[[1.0, np.nan, 5.0]], [[3.0, np.nan, np.nan]]], np.float32)
    assert blank_sample({"x": entry_sums(seen)}, pooled).tolist() == [[2.0, 9.0, 5.0]]


def test_the_order_of_sites_changes_no_bit() -> None:
    draw = np.random.default_rng(0)
    sums = {name: entry_sums(draw.normal(size=(5, 4)).astype(np.float32)) for name in "abcde"}
    pooled = Statistics(np.zeros(4, np.float32), np.ones(4, np.float32))
    assert blank_sample(sums, pooled).tobytes() == blank_sample(dict(reversed(sums.items())), pooled).tobytes()


def scales(spec: object) -> dict[str, Statistics]:
    found = plain_statistics(spec)  # type: ignore[arg-type]
    shapes = {m.name: m.shape for m in spec.modalities}  # type: ignore[attr-defined]
    return {
        n: Statistics(s.mean, s.std, np.full(shapes[n], 0.5 + i, np.float32)) for i, (n, s) in enumerate(found.items())
    }


@pytest.mark.parametrize("fusion", ["concat", "mean", "residual"])
@torch.no_grad()
def test_mean_input_is_literally_the_encoded_mean_sample_in_place_of_what_is_absent(fusion: str) -> None:
    net = lively(MultimodalNet(small_spec(3, fusion, completion=False, absent="mean_input")))
    plain = lively(MultimodalNet(small_spec(3, fusion, completion=False)))
    known = scales(net.spec)
    net.use_blanks(known)
    available = rows_of([1, 6, 7, 2], 3)
    batch = make_batch(net.spec, available)
    mine = net.fuse(net.encode(batch), torch.arange(4), torch.from_numpy(available))
    inputs = {
        m.name: torch.from_numpy(normalise(known[m.name].blank[None], known[m.name])) for m in net.spec.modalities
    }
    tokens = []
    for name in net.spec.names:
        whole = inputs[name].repeat(4, 1)
        if name in batch.values:
            whole[batch.position[name]] = batch.values[name]
        tokens.append(plain.encoder[name](whole))
    everything = torch.ones(4, 3, dtype=torch.bool)
    torch.testing.assert_close(mine, plain.fuse(torch.stack(tokens, dim=1), torch.arange(4), everything))


@pytest.mark.parametrize("absent", ["zero_input", "mean_input"])
@pytest.mark.parametrize("junk", [float("nan"), 1e6])
@torch.no_grad()
def test_a_token_outside_the_subset_changes_nothing(absent: str, junk: float) -> None:
    net = lively(MultimodalNet(small_spec(3, "concat", absent=absent, completion=False)))
    net.use_blanks(scales(net.spec))
    member = torch.from_numpy(rows_of([5, 2], 3))
    token = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    spoilt = torch.where(member[:, :, None], token, junk)
    assert torch.equal(net.fuse(token, torch.arange(2), member), net.fuse(spoilt, torch.arange(2), member))


@pytest.mark.parametrize("fusion", ["concat", "mean"])
@pytest.mark.parametrize("absent", ["zero_input", "mean_input"])
@torch.no_grad()
def test_a_site_fills_only_what_it_has_an_encoder_for(absent: str, fusion: str) -> None:
    spec = small_spec(3, fusion, heads=False, completion=False, absent=absent)
    whole, part = lively(MultimodalNet(spec)), MultimodalNet(spec, ["a", "b"])
    state = state_of(whole)
    load_state(part, {key: state[key] for key in state_of(part)})
    skip = lively(MultimodalNet(small_spec(3, fusion, heads=False, completion=False)))
    known = scales(spec)
    part.use_blanks(known)
    available = rows_of([1], 3)
    batch = make_batch(spec, available)
    blank = known["b"].blank if absent == "mean_input" else np.zeros(3, np.float32)
    token = torch.stack(
        [skip.encoder["a"](batch.values["a"]), skip.encoder["b"](torch.from_numpy(blank)[None]), torch.zeros(1, 4)],
        dim=1,
    )
    expected = skip.fuse(token, torch.arange(1), torch.from_numpy(rows_of([3], 3)))
    torch.testing.assert_close(part.fuse(part.encode(batch), torch.arange(1), torch.from_numpy(available)), expected)
