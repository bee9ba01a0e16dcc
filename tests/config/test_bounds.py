"""Bounds: what they change of the data, and where they do not exist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from fedmce.cli.compose import load_config
from fedmce.config.agreement import check_against
from fedmce.errors import ConfigError


@dataclass(frozen=True)
class Named:
    name: str


@dataclass(frozen=True)
class Rows:
    available: np.ndarray


@dataclass(frozen=True)
class Dataset:
    sites: dict[str, Rows]
    name: str = "toy"
    modalities: tuple[Named, ...] = (Named("image"), Named("audio"))


WHOLE = Rows(np.ones((3, 2), dtype=bool))
LACKING = Rows(np.array([[True, True], [True, False], [False, True]]))
ORACLE = ["method=oracle_complete"]


def test_the_bound_without_missingness_is_refused_where_gaps_are_natural() -> None:
    with pytest.raises(ConfigError, match=r"only_complete: 2 rows came without some modality, most of them at south"):
        check_against(load_config(ORACLE), Dataset({"north": WHOLE, "south": LACKING}))


def test_it_exists_on_complete_data_and_for_complete_sites() -> None:
    check_against(load_config(ORACLE), Dataset({"north": WHOLE, "south": WHOLE}))
    check_against(load_config([*ORACLE, "sites=[north]"]), Dataset({"north": WHOLE, "south": LACKING}))
    check_against(load_config(["missingness=natural"]), Dataset({"north": WHOLE, "south": LACKING}))


@pytest.mark.parametrize("protocol", ["none", "p1", "p4"])
def test_it_hides_nothing_whatever_the_protocol(protocol: str) -> None:
    hidden = load_config([*ORACLE, f"protocol={protocol}", "dataset=sound_mnist"]).missingness
    assert hidden.name == "natural"
    assert hidden.only_complete


def test_a_method_says_whose_rows_train_and_the_user_may_say_otherwise() -> None:
    assert load_config(["method=centralised"]).scope == "pooled"
    assert load_config(["method=fedmce"]).scope == "sites"
    assert load_config(["method=centralised", "scope=sites"]).scope == "sites"


def test_bounds_train_with_the_objective_of_the_method_that_they_bound() -> None:
    method = load_config(["method=mce_samples"])
    for bound in ("centralised", "oracle_complete", "local_only"):
        config = load_config([f"method={bound}"])
        assert (config.objective, config.model, config.training) == (method.objective, method.model, method.training)
