"""P12 (its noise; there is no budget, docs/privacy.md says why) and P13: what a site adds to what it releases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import fedmce.privacy.noise as noise_module
from fedmce.flower_compat import arrays_of
from fedmce.models import State, component_of
from fedmce.privacy import length, noised
from fedmce.privacy.noise import PROBED, fresh, norm_scale
from fedmce.wire import MODEL, UPDATE
from tests.privacy.made import floored_config, floored_dataset, floors, run_recorded


def component(size: int, norm: float) -> tuple[State, State]:
    """A component as received and as trained, its change of this length."""
    draw = np.random.default_rng(size)
    before = {"encoder.m/weight": draw.normal(size=size).astype(np.float32)}
    step = draw.normal(size=size)
    after = {"encoder.m/weight": (before["encoder.m/weight"] + norm * step / np.linalg.norm(step)).astype(np.float32)}
    return before, after


@pytest.mark.parametrize("sd", [0.02, 0.3])
def test_P12_noise_has_the_standard_deviation_that_the_plan_states(sd: float) -> None:
    before, after = component(10_000, norm=0.1)
    sent = noised(before, after, floors(noise_sd=sd, noise_clip=100.0))
    assert sent.cut == 1.0
    drawn = (sent.state["encoder.m/weight"] - after["encoder.m/weight"]).astype(np.float64)
    low, high = stats.chi2.ppf([1e-6, 1 - 1e-6], len(drawn))
    assert low < (drawn**2).sum() / sd**2 < high
    assert stats.kstest(drawn / sd, "norm").pvalue > 1e-6


@pytest.mark.parametrize(("norm", "clip"), [(10.0, 0.5), (0.01, 0.5), (3.0, 2.0)])
def test_P12_a_change_is_cut_to_the_stated_length_and_never_stretched(norm: float, clip: float) -> None:
    before, after = component(2 * PROBED, norm)
    sent = noised(before, after, floors(noise_sd=0.0, noise_clip=clip))
    limit = clip * np.sqrt(2)
    change = {key: value.astype(np.float64) - before[key] for key, value in sent.state.items()}
    assert norm_scale(change) == pytest.approx(np.sqrt(2)), "twice the weights of the measured network"
    assert length(change) == pytest.approx(min(norm, limit), rel=1e-4)
    assert sent.norm == pytest.approx(norm, rel=1e-4)
    assert sent.cut == pytest.approx(min(1.0, limit / norm), rel=1e-4)


def test_P12_what_did_not_move_gets_noise_all_the_same() -> None:
    before, _ = component(500, norm=0.0)
    sent = noised(before, dict(before), floors())
    assert sent.norm == 0
    assert length({key: value - before[key] for key, value in sent.state.items()}) > 0.1


def test_P13_noise_does_not_follow_from_the_seed_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def first_updates(name: str) -> tuple[State, State]:
        dump = run_recorded(floored_config(floors(), rounds=1), floored_dataset(), tmp_path / name)
        (said,) = dump.grid.of("ash", "train")
        return arrays_of(said.down.content.array_records[MODEL]), arrays_of(said.up.content.array_records[UPDATE])

    (given, one), (again, two) = first_updates("one"), first_updates("two")
    assert all(np.array_equal(given[key], again[key]) for key in given), "the same run in everything else"
    noisy = {component_of(key) for key in one if not np.array_equal(one[key], two[key])}
    assert noisy == {"encoder.blood"}, "the one component whose first layer is dense on raw inputs"
    assert np.all(one["encoder.blood/1.weight"] != two["encoder.blood/1.weight"])
    monkeypatch.setattr(noise_module, "_DRAW", lambda: np.random.default_rng(7))
    (_, three), (_, four) = first_updates("three"), first_updates("four")
    assert all(np.array_equal(three[key], four[key]) for key in three), (
        "the seam: only the noise had made the difference"
    )


def test_P13_two_generators_of_noise_have_nothing_in_common() -> None:
    draws = np.stack([fresh().standard_normal(1000) for _ in range(20)])
    assert np.abs(np.corrcoef(draws) - np.eye(20)).max() < 0.2
