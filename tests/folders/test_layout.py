"""``site.yaml``: what is read is what was written, nothing is bent, and floors only become stricter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.privacy import PrivacyConfig
from fedmce.errors import DataError
from fedmce.folders.layout import SiteFile, problems_of
from fedmce.folders.release import FEWER, MORE, ORDER, Release

TEXT = """
format: 1
site: north
task: {kind: classification, classes: [benign, malignant], metric: accuracy}
modalities:
  image: {kind: image, shape: [1, 28, 28], dtype: float32, units: "grey, 0 to 1", pooled_axes: [0, 1, 2], real: true}
  labs: {kind: tabular, shape: [2], units: "age; dose", holes: true}
release: {k_min: 10, min_rows: 32, single_holder: accept}
allow_links: false
shared_rows: false
private: true
"""


def tree(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(TEXT)
    return found | changes


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    site = SiteFile.from_tree(tree())
    site.write(tmp_path)
    assert SiteFile.read(tmp_path) == site
    assert "holes" not in yaml.safe_load((tmp_path / "site.yaml").read_text())["modalities"]["image"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"site": False}, r"site: given false; needed text"),  # what YAML makes of `no`
        ({"site": "North"}, r"site: given 'North'"),
        ({"sitee": "a"}, r"sitee: unknown key; .* did you mean 'site'\?"),
        ({"format": 2}, r"format: given 2; needed a whole number from 1 to 1"),
        ({"format": "1"}, r"format: given '1'"),
        ({"modalities": {}}, r"modalities: given \{\}"),
        ({"release": {"k_min": -1}}, r"release.k_min: given -1; needed a whole number at least 1"),
        ({"release": {"min_row": 1}}, r"did you mean 'release.min_rows'\?"),
        ({"task": {"classes": [1, 2]}}, r"task.classes: given \[1, 2\]; needed a list, each text"),
        ({"task": {"classes": ["a", "a"]}}, r"task.classes: .* needed each class once"),
        ({"modalities": {"target": {"kind": "tabular", "shape": [2]}}}, r"modalities.target: a name that is taken"),
        ({"modalities": {"x": {"kind": "image", "shape": [2, 2]}}}, r"modalities.x.shape: .* needed 3 numbers"),
        ({"modalities": {"x": {"kind": "tabular", "shape": [2], "pooled_axes": [1]}}}, r"pooled_axes: given \[1\]"),
    ],
)
def test_a_value_of_another_type_or_a_strange_key_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        SiteFile.from_tree(tree(**changes))


def test_every_problem_is_told_at_once() -> None:
    assert len(problems_of(tree(site=3, format=9, private="yes"))) == 3


VALUES = {
    **{key: st.integers(1, 50) for key in MORE},
    **{key: st.integers(1, 8) for key in FEWER},
    **{key: st.sampled_from(order) for key, order in ORDER.items()},
    "noise_sd": st.floats(0, 1),
    "noise_clip": st.floats(0.01, 1),
}


@given(st.fixed_dictionaries({}, optional=VALUES), st.fixed_dictionaries({}, optional=VALUES))
def test_neither_plan_nor_site_can_loosen_the_other(plan: dict[str, Any], own: dict[str, Any]) -> None:
    plan["min_rows_dense"] = max(plan.get("min_rows_dense", 1), plan.get("min_rows", 1))
    told = PrivacyConfig.model_validate(plan)
    found = Release.model_validate(own).overrule(told)
    for key in MORE:
        assert getattr(found, key) >= max(getattr(told, key), own.get(key, 1))
    for key in FEWER:
        limits = [value for value in (getattr(told, key), own.get(key)) if value is not None]
        assert getattr(found, key) == (min(limits) if limits else None)
    for key, order in ORDER.items():
        assert order.index(getattr(found, key)) == max(order.index(v) for v in (getattr(told, key), own.get(key)) if v)
    if told.site_noise != "none" and "noise_sd" in own:
        assert found.noise_sd == max(told.noise_sd, own["noise_sd"])


def test_a_site_that_says_nothing_leaves_the_plan_as_it_is() -> None:
    plan = PrivacyConfig.model_validate({"k_min": 5, "metric_digits": 3})
    assert Release.model_validate({}).overrule(plan) == plan
