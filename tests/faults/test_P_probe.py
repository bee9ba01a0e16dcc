"""P06, P07: what reading rows out and telling members finds below, at and above the floors (quick part of T-P)."""

from __future__ import annotations

from functools import lru_cache

import pytest

from fedmce.privacy.probe import Probe, ProbeResult, limits, run_probe
from tests.privacy.made import floors

FLOORS = floors()


@lru_cache
def measured() -> ProbeResult:
    probe = Probe(rows=(1, 8, 32, 128), noise=(0.0, FLOORS.noise_sd), seeds=6, floors=FLOORS)
    return run_probe(probe)


def value(table: str, rows: int, noise: float, what: str = "dense") -> float:
    cell = measured().at(table, rows, noise, what)
    assert cell is not None, (table, rows, noise, what)
    return cell.value


def test_P06_without_floors_the_probe_reads_every_row_of_one_and_half_of_eight() -> None:
    assert value("read_out", 1, 0.0) == 1.0
    assert 0.3 < value("read_out", 8, 0.0) < 0.8


@pytest.mark.parametrize("rows", [32, 128])
def test_P06_at_the_floors_few_rows_are_read_and_none_with_noise(rows: int) -> None:
    assert value("read_out", rows, 0.0) <= 0.15
    assert value("read_out", rows, FLOORS.noise_sd) == 0.0
    assert value("some_row", rows, 0.0) > 0.5, "floors alone never bring it to none: that is what noise is for"
    assert value("some_row", rows, FLOORS.noise_sd) == 0.0


def test_P06_our_own_dense_encoder_gives_rows_away_as_well_and_noise_closes_it() -> None:
    assert value("own_rows", 1, 0.0, "mlp, sgd") == 1.0
    assert value("own_rows", 128, 0.0, "mlp, sgd") <= 0.15
    for rows in (1, 8, 32, 128):
        assert value("own_rows", rows, FLOORS.noise_sd, "mlp, sgd") == 0.0


def test_P07_membership_is_found_without_floors_and_bounded_at_them() -> None:
    assert value("membership", 1, 0.0) > 0.9
    assert value("membership", FLOORS.min_rows, 0.0) <= 0.75
    assert value("membership", FLOORS.min_rows, FLOORS.noise_sd) <= 0.75
    assert value("membership", 128, 0.0) < value("membership", 32, 0.0) < value("membership", 8, 0.0)


def test_P07_noise_of_the_default_size_does_not_hide_members() -> None:
    """The docs say so, and so does the probe: whoever needs that must wait for more rows."""
    assert value("membership", 32, FLOORS.noise_sd) > 0.6


def test_P06_the_verdict_of_the_probe_names_every_limit() -> None:
    judged = limits(measured())
    assert len(judged) == 7
    assert all(line["holds"] for line in judged.values()), judged
