"""A saved model predicts what the network in memory does, and only that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.numpy import load_file, save_file

from fedmce.errors import DataError
from fedmce.models import MultimodalNet, NetworkSpec, Statistics, components, normalise, state_of
from fedmce.record.model_file import load_model, save_model
from tests.oracles.mce_rows import Row, fused_logits, tokens_of
from tests.oracles.worlds import lively, make_site, rows_of, small_spec

CODES = [7, 1, 6, 4, 2, 5, 3]
Features = dict[str, npt.NDArray[np.float32]]


def scales(spec: NetworkSpec) -> dict[str, Statistics]:
    return {
        m.name: Statistics(np.full(m.statistics_shape, 0.3, np.float32), np.full(m.statistics_shape, 1.7, np.float32))
        for m in spec.modalities
    }


def saved(folder: Path, fusion: str = "residual", **changes: Any) -> MultimodalNet:
    net = lively(MultimodalNet(small_spec(3, fusion, **changes)))
    save_model(folder, net.spec, state_of(net), scales(net.spec))
    return net.eval()


def features(codes: list[int] = CODES) -> Features:
    return make_site("x", rows_of(codes, 3)).features


@pytest.mark.parametrize("fusion", ["additive", "concat", "late", "mean", "residual", "transformer"])
@torch.no_grad()
def test_a_loaded_model_predicts_what_the_network_in_memory_does(tmp_path: Path, fusion: str) -> None:
    net, raw = saved(tmp_path, fusion), features()
    found = load_model(tmp_path).predict(raw)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    for row, code in enumerate(CODES):
        names = [n for i, n in enumerate(net.spec.names) if code >> i & 1]
        samples = {n: torch.from_numpy(normalise(raw[n][row : row + 1], scales(net.spec)[n])[0]) for n in names}
        logits = fused_logits(net, tokens_of(net, Row(samples, 0)), names)
        np.testing.assert_allclose(found[row], logits.softmax(dim=0).numpy(), rtol=1e-4, atol=1e-6)


def test_saving_twice_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        saved(tmp_path / name)
    for file in ("model.safetensors", "model.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
        assert {p.name for p in (tmp_path / "one").iterdir()} == {"model.safetensors", "model.json"}


def test_the_file_says_what_the_model_is(tmp_path: Path) -> None:
    net = saved(tmp_path)
    tree = json.loads((tmp_path / "model.json").read_text())
    assert tree["components"] == components(state_of(net))
    assert NetworkSpec.from_dict(tree["network"]) == net.spec
    assert load_model(tmp_path).spec == tree["network"]


def test_a_model_with_parts_that_stayed_at_sites_is_not_taken_for_whole(tmp_path: Path) -> None:
    """What never left the sites is in the file as it began: a prediction from it would be noise."""
    net = MultimodalNet(small_spec(3))
    save_model(tmp_path, net.spec, state_of(net), scales(net.spec), ("head", "fusion"))
    with pytest.raises(DataError, match="whose head, fusion stayed there"):
        load_model(tmp_path)


def test_hidden_modalities_play_no_part(tmp_path: Path) -> None:
    saved(tmp_path)
    model, raw = load_model(tmp_path), features([7] * 3)
    available = rows_of([1, 6, 7], 3)
    spoilt = {n: np.where(available[:, i, None], v, np.float32(1e9)) for i, (n, v) in enumerate(raw.items())}
    assert np.array_equal(model.predict(raw, available), model.predict(spoilt, available))
    without = {n: np.where(available[:, i, None], v, np.float32(np.nan)) for i, (n, v) in enumerate(raw.items())}
    assert np.array_equal(model.predict(without), model.predict(raw, available))


def test_a_modality_may_be_left_out_and_a_hole_is_the_pooled_mean(tmp_path: Path) -> None:
    saved(tmp_path)
    model, raw = load_model(tmp_path), features([7, 7])
    absent = raw | {"b": np.full_like(raw["b"], np.nan)}
    assert np.array_equal(model.predict({n: raw[n] for n in ("a", "c")}), model.predict(absent))
    hole, mean = ({n: v.copy() for n, v in raw.items()} for _ in range(2))
    hole["c"][0, 1], mean["c"][0, 1] = np.nan, np.float32(0.3)
    np.testing.assert_allclose(model.predict(hole), model.predict(mean), atol=1e-6)


def with_(changes: dict[str, Any]) -> dict[str, Any]:
    return features([7, 7]) | changes


@pytest.mark.parametrize(
    ("given_features", "message"),
    [
        ({}, "no modality; the model takes any of a, b, c"),
        (with_({"z": np.zeros((2, 2), np.float32)}), r"modalities \['z'\]; the model knows a, b, c"),
        (with_({"a": np.zeros((2, 3), np.float32)}), r"a has samples of shape \(3,\); needed \(2,\)"),
        (with_({"a": np.zeros((3, 2), np.float32)}), "rows per modality .* equal numbers are needed"),
        ({"a": np.array([[1, 2], [np.nan, np.nan]], np.float32)}, "row 1 holds no modality"),
    ],
)
def test_what_the_model_cannot_take_is_refused(tmp_path: Path, given_features: Features, message: str) -> None:
    saved(tmp_path)
    with pytest.raises(DataError, match=message):
        load_model(tmp_path).predict(given_features)


def test_a_row_whose_every_modality_is_hidden_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(DataError, match="row 2 holds no modality"):
        load_model(tmp_path).predict(features([7, 7, 7]), rows_of([1, 7, 0], 3))


@pytest.mark.parametrize(
    "damage", ["bit", "other weights", "cut", "no json", "bad json", "no weights", "json of another"]
)
def test_a_model_that_was_tampered_with_is_refused(tmp_path: Path, damage: str) -> None:
    saved(tmp_path)
    weights, tree = tmp_path / "model.safetensors", tmp_path / "model.json"
    if damage == "bit":
        raw = bytearray(weights.read_bytes())
        raw[-1] ^= 1
        weights.write_bytes(raw)
    elif damage == "other weights":
        state = load_file(weights)
        save_file({key: value + 1 for key, value in state.items()}, weights)
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-9])
    elif damage == "no weights":
        weights.unlink()
    elif damage == "no json":
        tree.unlink()
    elif damage == "bad json":
        tree.write_text("{")
    else:
        tree.write_text(json.dumps(json.loads(tree.read_text()) | {"schema": "other/1"}))
    with pytest.raises(DataError, match="run"):
        load_model(tmp_path)


@pytest.mark.parametrize("tree", ["[]", "3", "null", '{"schema": "fedmce.model/1"}'])
def test_json_that_is_no_model_is_refused(tmp_path: Path, tree: str) -> None:
    saved(tmp_path)
    (tmp_path / "model.json").write_text(tree)
    with pytest.raises(DataError):
        load_model(tmp_path)
