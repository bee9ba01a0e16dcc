"""The same seed gives the same bits, whatever the order of sites, the name or the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.workplace import open_workplace
from fedmce.cli.compose import load_config
from fedmce.data import FederatedDataset
from tests.journeys.runs import model_bytes, record, result, run, without_clock
from tests.server.made import METHODS, SITES, made_config


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_twice_and_in_another_order_gives_the_same_bits(
    made: FederatedDataset, tmp_path: Path, method: str
) -> None:
    first = run(made_config(method), tmp_path / "first")
    open_workplace.cache_clear()
    again = run(made_config(method), tmp_path / "again")
    turned = run(made_config(method, sites=tuple(reversed(SITES))), tmp_path / "turned")
    by_name = run(made_config(method, sites=tuple(sorted(SITES))), tmp_path / "by_name")
    for other in (again, turned, by_name):
        assert model_bytes(other) == model_bytes(first)
        assert (other / "model.json").read_bytes() == (first / "model.json").read_bytes()
        assert without_clock(result(other)) == without_clock(result(first))
        assert record(other) == record(first)
    assert result(first)["refused"] == []


def test_name_and_folder_change_nothing_but_the_name(made: FederatedDataset, tmp_path: Path) -> None:
    plain = run(made_config(), tmp_path / "plain")
    named = tmp_path / "a-much-longer-name-of-a-folder"
    run(made_config(name="a-name", out=str(named)), named)
    assert model_bytes(named) == model_bytes(plain)
    assert result(named)["name"] == "a-name"
    leave_out = frozenset({"name"})
    assert without_clock(result(named), leave_out) == without_clock(result(plain), leave_out)


@pytest.mark.parametrize(
    "change", [{"seed": 6}, {"rounds": 3}, {"training__lr": 0.03}, {"aggregation__weighting": "uniform"}]
)
def test_what_decides_the_numbers_changes_them(
    made: FederatedDataset, tmp_path: Path, change: dict[str, object]
) -> None:
    """Without this the tests above would pass on a run that trains nothing."""
    plain = made_config(rounds=4)
    other = made_config(**{"rounds": 4, **change})
    one, two = run(plain, tmp_path / "one"), run(other, tmp_path / "two")
    assert model_bytes(one) != model_bytes(two)
    assert result(one)["fingerprint"] != result(two)["fingerprint"]


def test_a_site_that_joins_moves_nobody_elses_mask_or_draws(made: FederatedDataset, tmp_path: Path) -> None:
    some = run(made_config(sites=("ash", "cedar"), rounds=1), tmp_path / "some")
    all_ = run(made_config(rounds=1), tmp_path / "all")
    one, other = result(some), result(all_)
    for site in ("ash", "cedar"):
        assert one["availability"][site] == other["availability"][site]
        assert one["rows"][site] == other["rows"][site]
    assert one["sites"] == ["ash", "cedar"]


def test_the_embedded_data_gives_the_same_bits_in_another_order_of_sites(tmp_path: Path) -> None:
    """The real presets on real rows, three voices, two rounds."""
    base = ["rounds=2", "training.local_epochs=1", "dataset.train_rows=20", "missingness.reversed_sites=1"]
    config = load_config(base)
    from fedmce.data import load_dataset

    voices = tuple(load_dataset(config.dataset, None, config.seed).sites)[:3]
    folders = [
        run(config.model_copy(update={"sites": order}), tmp_path / str(number))
        for number, order in enumerate((voices, voices[::-1], voices))
    ]
    assert len({model_bytes(folder) for folder in folders}) == 1
    assert all(without_clock(result(f)) == without_clock(result(folders[0])) for f in folders)
