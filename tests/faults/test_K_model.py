"""K11: a network whose parameters cannot be told apart, or belong to nobody, is refused when it is built."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from fedmce.errors import ConfigError
from fedmce.models import MultimodalNet
from fedmce.models.components import check_components
from fedmce.models.encoders import ENCODERS
from fedmce.networks import spec_for
from tests.server.made import made_config, made_dataset


@pytest.fixture
def net() -> MultimodalNet:
    return MultimodalNet(spec_for(made_dataset(), made_config()))


def refused(net: nn.Module) -> str:
    with pytest.raises(ConfigError) as error:
        check_components(net)
    assert error.value.exit_code == 2
    return str(error.value)


def test_K11_a_parameter_of_no_component_is_refused_by_its_name(net: MultimodalNet) -> None:
    check_components(net)
    net.scale = nn.Parameter(torch.ones(1))
    assert "parameter 'scale' belongs to no component" in refused(net)
    del net.scale
    net.fusion = nn.Parameter(torch.ones(1))  # type: ignore[assignment]
    assert "parameter 'fusion' belongs to no component" in refused(net)


def test_K11_two_parameters_of_one_name_are_refused(net: MultimodalNet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[check_components.__module__], "state_key", lambda name: "fusion/w")
    assert "two parameters have the name 'fusion/w'" in refused(net)


def test_K11_a_module_of_the_user_that_two_components_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoders have other holders, so that one average would undo the other."""
    shared = nn.Linear(16, 6)

    def build(shape: tuple[int, ...], width: int, normalisation: str = "none") -> nn.Module:
        return nn.Sequential(nn.Flatten(), shared)

    monkeypatch.setitem(ENCODERS, "conv_image", build)
    MultimodalNet(spec_for(made_dataset(), made_config()))
    monkeypatch.setitem(ENCODERS, "conv_series", build)
    with pytest.raises(ConfigError, match=r"of encoder\.sound is also one of encoder\.image"):
        MultimodalNet(spec_for(made_dataset(), made_config()))
