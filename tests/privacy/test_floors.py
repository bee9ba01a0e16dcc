"""Which components may leave, and what first sees raw inputs in them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fedmce.config.privacy import PrivacyConfig
from fedmce.folders.release import Release
from fedmce.models.encoders import ENCODERS
from fedmce.privacy import REASONS, Behind, effective, first_layer, first_layers, held_back
from fedmce.privacy.probe.own import spec
from tests.privacy.made import floors, quiet

ENOUGH = {"rows": 200, "steps": 20, "batch": 32, "class_rows": (100, 100)}


def behind(component: str = "encoder.image", **changes: Any) -> Behind:
    return Behind(component, **(ENOUGH | changes))


@pytest.mark.parametrize(
    ("what", "config", "reasons"),
    [
        (behind(), quiet(), ()),
        (behind(rows=31), quiet(), ("rows",)),
        (behind(rows=32), quiet(), ()),
        (behind(rows=127, first_layer="dense"), quiet(), ("rows",)),
        (behind(rows=128, first_layer="dense"), quiet(), ()),
        (behind(rows=32, first_layer="dense"), floors(), ()),
        (behind(rows=31, first_layer="dense"), floors(), ("rows",)),
        (behind(rows=32, first_layer="dense"), floors(noise_sd=0.001), ("rows",)),
        (behind(rows=32, first_layer="convolution"), quiet(), ()),
        (behind(steps=7), quiet(), ("steps",)),
        (behind(batch=7), quiet(), ("batch",)),
        (behind("head.image", class_rows=(200, 0)), quiet(), ("classes",)),
        (behind("head.image", class_rows=(190, 9)), quiet(), ("classes",)),
        (behind("head.image", class_rows=(190, 10)), quiet(), ()),
        (behind("fusion", class_rows=(200, 0)), quiet(), ("classes",)),
        (behind("encoder.image", class_rows=(200, 0)), quiet(), ()),
        (behind(is_single=True), quiet(), ()),
        (behind(is_single=True), quiet(single_holder="freeze"), ("single_holder",)),
        (behind(first_layer="embedding"), quiet(), ("embedding",)),
        (behind(first_layer="embedding"), floors(), ()),
        (behind(rows=1, steps=1, batch=1, class_rows=(1,)), quiet(), ("rows", "steps", "batch")),
    ],
)
def test_a_component_leaves_only_above_every_floor(
    what: Behind, config: PrivacyConfig, reasons: tuple[str, ...]
) -> None:
    assert held_back(what, config) == reasons
    assert set(reasons) <= set(REASONS)


def test_nothing_is_held_back_where_all_is_open_but_what_one_site_holds_if_it_says_so() -> None:
    one = Behind("encoder.m", rows=1, steps=1, batch=1, first_layer="embedding", class_rows=(1,), is_single=True)
    assert held_back(one, PrivacyConfig.model_validate({})) == ()
    assert held_back(one, PrivacyConfig.model_validate({"single_holder": "freeze"})) == ("single_holder",)


@pytest.mark.parametrize(
    ("shape", "name", "kind"),
    [
        ((1, 8, 8), "mlp", "dense"),
        ((5,), "mlp", "dense"),
        ((1, 8, 8), "conv_image", "convolution"),
        ((1, 13, 32), "conv_spectrogram", "convolution"),
        ((2, 32), "conv_series", "convolution"),
    ],
)
@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_encoders_are_told_apart_by_what_raw_inputs_meet_first(
    shape: tuple[int, ...], name: str, kind: str, normalisation: str
) -> None:
    assert first_layer(ENCODERS[name](shape, 8, normalisation), shape) == kind


class Bare(nn.Module):
    """Weights that no module of torch owns."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


class LastFirst(nn.Module):
    """Registered in another order than called."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 2, 3, padding=1)
        self.linear = nn.Linear(16, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.linear(x)).flatten(1)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("module", "shape", "kind"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 8), nn.Flatten()), (1, 8, 8), "dense"),
        (nn.Sequential(nn.Conv2d(1, 4, 8, padding=1), nn.Flatten()), (1, 8, 8), "convolution"),
        (nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 4)), (5,), "dense"),
        (nn.Sequential(nn.Flatten(), nn.Identity()), (5,), "dense"),
        (Bare(), (3,), "dense"),
        (LastFirst(), (1, 16), "dense"),
        (nn.GRU(3, 4), (3,), "dense"),
    ],
    ids=["kernel as large as the image", "kernel with places left", "norm first", "no weights", "bare", "order", "gru"],
)
def test_whatever_is_not_known_to_be_harmless_counts_as_dense(
    module: nn.Module, shape: tuple[int, ...], kind: str
) -> None:
    assert first_layer(module, shape) == kind
    assert module.training, "it is left as it was"


def test_every_component_of_a_network_is_classified() -> None:
    found = first_layers(spec("mlp"))
    assert found["encoder.image"] == "dense"
    assert {kind for name, kind in found.items() if name != "encoder.image"} == {"none"}


@pytest.mark.parametrize("key", sorted(Release.model_fields))
def test_the_stricter_of_plan_and_site_counts_key_by_key(key: str) -> None:
    stricter: dict[str, Any] = {
        "claim_decimals": 1,
        "metric_digits": 1,
        "site_noise": "all",
        "single_holder": "freeze",
        "noise_clip": 0.1,
        "noise_sd": 0.5,
        "min_rows": 500,
        "min_rows_dense": 500,
    }
    plan, value = floors(), stricter.get(key, 90)
    release = Release.model_validate({key: value})
    assert getattr(effective(plan, release), key) == value
    assert bool(release.above(plan)) == (key != "single_holder")
    weaker: dict[str, Any] = {
        "claim_decimals": 8,
        "metric_digits": 8,
        "site_noise": "none",
        "single_holder": "accept",
        "noise_clip": 100.0,
        "noise_sd": 0.0,
    }
    less = Release.model_validate({key: weaker.get(key, 1)})
    assert effective(plan, less) == plan
    assert less.above(plan) == []
    assert effective(plan, None) is plan
