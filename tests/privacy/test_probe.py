"""The leak probe: its attacks on cases with known answers, its tables against the measured ones, its command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fedmce.cli.app import app
from fedmce.privacy.probe import Probe, ProbeResult, dense, limits, run_probe
from fedmce.privacy.probe.attacks import area, membership, read_out
from fedmce.privacy.probe.digits import digits, mean_image
from fedmce.privacy.probe.tables import FLOORS
from tests.privacy.made import floors

PUBLISHED = {1: 1.0, 2: 0.95, 4: 0.83, 8: 0.54, 16: 0.21, 32: 0.12, 64: 0.04, 128: 0.027}
PUBLISHED_AREA = {8: 0.81, 16: 0.76, 32: 0.71, 64: 0.67, 128: 0.60}


def test_the_change_of_a_unit_that_one_row_lit_is_that_row() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 12))
    weight, bias = 0.3 * rows[[2, 4]], np.array([0.3, 0.3])
    assert read_out(weight, bias, rows, np.zeros(12)).tolist() == [False, False, True, False, True]
    assert not read_out(weight, np.zeros(2), rows, np.zeros(12)).any(), "units that nothing lit tell nothing"
    mixed = np.stack([rows.mean(axis=0)])
    assert not read_out(mixed, np.ones(1), rows, np.zeros(12)).any()


def test_a_typical_row_is_no_find() -> None:
    centre = np.full(12, 5.0)
    rows = centre + 0.1 * np.random.default_rng(0).normal(size=(5, 12))
    guess = centre + 0.1 * np.random.default_rng(1).normal(size=(1, 12))
    assert not read_out(guess, np.ones(1), rows, centre).any()
    assert read_out(guess, np.ones(1), rows, np.zeros(12)).all()


def test_the_area_counts_pairs_and_half_of_ties() -> None:
    draw = np.random.default_rng(0)
    members, others = draw.integers(0, 5, 30).astype(float), draw.integers(0, 5, 40).astype(float)
    by_hand = np.mean([(m > o) + 0.5 * (m == o) for m in members for o in others])
    assert area(members, others) == pytest.approx(by_hand)
    assert membership(np.array([2.0, 2.0, 2.0]), np.array([1.0, 2.0, 2.0]), 1) == (1.0, 1.0)


def test_a_step_is_the_gradient_of_the_loss() -> None:
    images, labels = digits()
    draw = np.random.default_rng(0)
    net, x, y = dense.new_net(draw), images[:7], labels[:7]
    step = dense.trained(net, x, y, 1, 1.0)
    for part, (before, after) in enumerate(zip(net, step, strict=True)):
        place = tuple(draw.integers(0, n) for n in before.shape)
        moved = [p.copy() for p in net]
        moved[part][place] += 1e-5
        slope = (dense.losses(moved, x, y).mean() - dense.losses(net, x, y).mean()) / 1e-5
        assert before[place] - after[place] == pytest.approx(slope, abs=1e-5)


def test_the_floors_that_are_judged_are_the_default_ones() -> None:
    told = floors().model_dump()
    assert {key: told[key] for key in FLOORS} == FLOORS
    assert Probe().floors.noise_sd == told["noise_sd"]
    assert Probe().floors.noise_clip == told["noise_clip"]
    assert mean_image().shape == (64,)


def test_the_command_prints_tables_and_writes_figures(tmp_path: Path) -> None:
    asked = ["leak-probe", "--rows", "1,32", "--noise", "0,0.02", "--seeds", "6", "--out", str(tmp_path / "out")]
    said = CliRunner().invoke(app, asked)
    assert said.exit_code == 0, said.output
    assert "rows recovered from the first layer" in said.stdout
    assert "1 row" in said.stdout
    assert "MISS" not in said.stdout
    tree = json.loads((tmp_path / "out" / "leak_probe.json").read_text())
    assert tree["schema"] == "fedmce.leak_probe/1"
    assert tree["limits"]["rows_recovered_without_floors"]["value"] == 1.0
    assert (tmp_path / "out" / "leak_probe.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    "wrong", [["--rows", "0"], ["--rows", "1,x"], ["--noise", "-1"], ["--noise", "nan"], ["--rows", "900"]]
)
def test_numbers_that_are_none_are_refused(wrong: list[str]) -> None:
    said = CliRunner().invoke(app, ["leak-probe", *wrong])
    assert said.exit_code == 2
    assert "needed numbers" in said.output


def test_settings_that_were_not_measured_are_not_judged() -> None:
    assert limits(ProbeResult(Probe())) == {}


@pytest.mark.slow
def test_T_P_the_measured_tables_are_reproduced() -> None:
    """reliability.md 5.8, tables A to C; where members are told our probe takes the stronger of two attacks."""
    result = run_probe(Probe(floors=floors(), noise=(0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)))
    for rows, share in PUBLISHED.items():
        cell = result.at("read_out", rows, 0.0)
        assert cell is not None
        assert cell.value == pytest.approx(share, abs=0.08), rows
        for noise in (0.02, 0.05, 0.1, 0.2):
            noised = result.at("read_out", rows, noise)
            assert noised is not None
            assert noised.value == 0.0
    for rows, found in PUBLISHED_AREA.items():
        cell = result.at("membership", rows, 0.0)
        assert cell is not None
        assert cell.value == pytest.approx(found, abs=0.05), rows
    for noise, accuracy in ((0.0, 0.904), (0.005, 0.907), (0.02, 0.907)):
        cell = result.at("accuracy", 32, noise, "8 sites")
        assert cell is not None
        assert cell.value == pytest.approx(accuracy, abs=0.03)
    assert len(limits(result)) == 7
    assert all(line["holds"] for line in limits(result).values())
