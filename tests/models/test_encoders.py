"""Encoders of every kind, the registries and the plain-data form of a network."""

from __future__ import annotations

import json
from typing import get_args

import pytest
import torch

from fedmce.config.schema import ModelConfig
from fedmce.data.dataset import Kind
from fedmce.models import NetworkSpec, network_spec
from fedmce.models.encoders import ENCODERS, encoder
from fedmce.models.fusions import FUSIONS
from fedmce.models.spec import DEFAULT_ENCODER
from tests.oracles.worlds import make_dataset, make_site, rows_of, small_spec

SHAPES = {
    "conv_image": [(1, 8, 8), (3, 28, 28), (1, 9, 5), (1, 4, 4)],
    "conv_spectrogram": [(1, 13, 24), (1, 40, 61)],
    "conv_series": [(1, 16), (6, 128), (2, 50)],
    "mlp": [(1,), (7,), (2, 3)],
}


@pytest.mark.parametrize(("name", "shape"), [(n, s) for n, shapes in SHAPES.items() for s in shapes])
@pytest.mark.parametrize("width", [4, 32])
def test_a_sample_becomes_a_token_of_the_asked_width(name: str, shape: tuple[int, ...], width: int) -> None:
    net = ENCODERS[name](shape, width)
    x = torch.randn(3, *shape, requires_grad=True)
    token = net(x)
    assert token.shape == (3, width)
    token.sum().backward()
    assert all(p.grad is not None for p in net.parameters())


@pytest.mark.parametrize("name", SHAPES)
def test_a_token_depends_on_its_own_sample_alone(name: str) -> None:
    net = ENCODERS[name](SHAPES[name][0], 8)
    x = torch.randn(4, *SHAPES[name][0])
    together = net(x)
    torch.testing.assert_close(together[2], net(x[2:3])[0])
    assert not torch.allclose(together[0], together[1])


def test_registered_encoders_and_fusions_are_those_of_the_schema() -> None:
    known = get_args(get_args(ModelConfig.model_fields["encoders"].annotation)[1])
    assert set(ENCODERS) == set(known) == set(SHAPES)
    assert set(FUSIONS) == set(get_args(ModelConfig.model_fields["fusion"].annotation))


def test_every_kind_of_modality_has_a_default_encoder() -> None:
    assert set(DEFAULT_ENCODER) == set(get_args(Kind))
    assert set(DEFAULT_ENCODER.values()) <= set(ENCODERS)


def test_an_encoder_is_registered_once() -> None:
    with pytest.raises(ValueError, match="'mlp' is registered twice"):
        encoder("mlp")(ENCODERS["mlp"])


def test_a_spec_survives_json() -> None:
    spec = small_spec(3, "transformer")
    assert NetworkSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_heads_exist_where_objective_or_fusion_needs_them_and_completion_needs_two_modalities() -> None:
    data = make_dataset([make_site("x", rows_of([3], 2))])
    single = make_dataset([make_site("x", rows_of([1], 1))])
    concat, residual = ModelConfig(fusion="concat"), ModelConfig(fusion="residual")
    assert not network_spec(data, concat, needs_heads=False, needs_completion=False).heads
    assert network_spec(data, concat, needs_heads=True, needs_completion=False).heads
    assert network_spec(data, residual, needs_heads=False, needs_completion=False).heads
    assert network_spec(data, concat, needs_heads=True, needs_completion=True).completion
    assert not network_spec(single, concat, needs_heads=True, needs_completion=True).completion


def test_a_configured_encoder_wins_over_the_default() -> None:
    data = make_dataset([make_site("x", rows_of([3], 2))])
    spec = network_spec(data, ModelConfig(encoders={"b": "conv_series"}), needs_heads=False, needs_completion=False)
    assert spec.encoders == ("mlp", "conv_series")
