"""What the schema lets a user name is what is registered, no more and no less."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from fedmce.aggregation import WEIGHTINGS
from fedmce.config.describe import members
from fedmce.config.quality import DegradedConfig
from fedmce.config.schema import AggregationConfig, ModelConfig, RunConfig
from fedmce.data import DATASETS
from fedmce.missingness import MECHANISMS
from fedmce.models.encoders import ENCODERS
from fedmce.models.fusions import FUSIONS
from fedmce.objectives import OBJECTIVES
from fedmce.partition import PARTITIONERS
from fedmce.quality import KINDS, QUALITIES


def union(section: str) -> set[str]:
    return set(members(RunConfig.model_fields[section].annotation))


def literal(section: Any, key: str) -> set[str]:
    return set(get_args(section.model_fields[key].annotation))


@pytest.mark.parametrize(
    ("registry", "named"),
    [
        (DATASETS, union("dataset")),
        (MECHANISMS, union("missingness")),
        (PARTITIONERS, union("partition")),
        (QUALITIES, union("quality")),
        (KINDS, literal(DegradedConfig, "kind")),
        (OBJECTIVES, union("objective")),
        (FUSIONS, literal(ModelConfig, "fusion")),
        (ENCODERS, set(get_args(get_args(ModelConfig.model_fields["encoders"].annotation)[1]))),
        (WEIGHTINGS, literal(AggregationConfig, "weighting")),
    ],
    ids=[
        "datasets",
        "mechanisms",
        "partitioners",
        "qualities",
        "kinds",
        "objectives",
        "fusions",
        "encoders",
        "weightings",
    ],
)
def test_a_registry_holds_the_names_of_the_schema(registry: dict[str, Any], named: set[str]) -> None:
    assert set(registry) == named
