"""Protocols replay what they say, on the data that stands in."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import yaml

import fedmce.data
from fedmce._paths import config_root
from fedmce.cli.compose import load_config
from fedmce.cli.groups import groups
from fedmce.config import RunConfig, check_against
from fedmce.config.schema import SiteTableConfig
from fedmce.data import FederatedDataset, originals
from fedmce.missingness import MaskSet, draw_masks
from fedmce.subsets import pattern_codes
from tests.data_location import DATA_DIR, needs
from tests.oracles.worlds import Bools

PROTOCOLS = groups()["protocol"]
DATA = ("av_digits", "hapt", "leaves100", "sound_mnist")


@lru_cache(maxsize=8)
def drawn(*overrides: str) -> tuple[RunConfig, FederatedDataset, MaskSet]:
    config = load_config([*overrides, *([f"data_dir={DATA_DIR}"] if DATA_DIR else [])])
    dataset = fedmce.data.dataset_of(config)
    check_against(config, dataset)
    return config, dataset, draw_masks(dataset, config.missingness, config.seed, config.sites)


def training(dataset: FederatedDataset, masks: MaskSet) -> dict[str, Bools]:
    """Masks of training rows at the sites that have some."""
    found = {n: m.available[dataset.sites[n].split == "train"] for n, m in masks.sites.items()}
    return {name: rows for name, rows in found.items() if len(rows)}


def holders(dataset: FederatedDataset, masks: MaskSet) -> list[int]:
    return np.array([rows.any(axis=0) for rows in training(dataset, masks).values()]).sum(axis=0).tolist()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_knows_its_own_name_and_says_where_it_comes_from(name: str) -> None:
    assert load_config([f"protocol={name}"]).protocol == name
    text = (config_root() / "protocol" / f"{name}.yaml").read_text()
    assert text.startswith("# @package _global_\n# ")
    tree = yaml.safe_load(text)
    replays = name not in ("none", "p1", "p2", "p3", "p4") and not name.startswith("p1_")
    assert ("fidelity:" in text.replace("\n# ", " ")) == replays
    if any(
        entry == "override /dataset" for line in tree.get("defaults", []) if isinstance(line, dict) for entry in line
    ):
        assert "Stand-in:" in text.replace("\n# ", " ") or "Same data" in text


@pytest.mark.parametrize("name", [n for n in PROTOCOLS if not n.startswith("p1_")])
def test_a_protocol_agrees_with_its_data_and_leaves_every_modality_somewhere(name: str) -> None:
    config = load_config([f"protocol={name}"])
    if config.dataset.name != "av_digits" and originals.missing(config.dataset.name, DATA_DIR):
        pytest.skip(f"{config.dataset.name}: its files are absent; set FEDMCE_DATA_DIR")
    _, dataset, masks = drawn(f"protocol={name}")
    assert all(number > 0 for number in holders(dataset, masks))


@pytest.mark.parametrize("dataset", DATA)
def test_the_four_bars_fit_every_simulated_data_set(dataset: str) -> None:
    three = dataset in ("hapt", "leaves100")
    p1 = load_config(["protocol=p1", f"dataset={dataset}"]).missingness
    weak = {"hapt": "gravity", "leaves100": "shape"}.get(dataset, "audio")
    assert p1.name == "imbalanced"
    assert sorted(p1.rates.values()) == ([0.2, 0.5, 0.8] if three else [0.2, 0.8])
    assert p1.rates[weak] == 0.8
    p2 = load_config(["protocol=p2", f"dataset={dataset}"]).missingness
    assert (p2.name == "rare" and p2.modality, p2.name == "rare" and p2.others) == (weak, 0.2)
    p3 = load_config(["protocol=p3", f"dataset={dataset}"])
    assert p3.quality.name == "degraded"
    assert (p3.quality.modality, p3.quality.sites, p3.quality.kind) == (weak, 0.35, "misaligned")
    assert (p3.missingness.name, p3.missingness.name == "mcar" and p3.missingness.rate) == ("mcar", 0.3)
    p4 = load_config(["protocol=p4", f"dataset={dataset}"])
    assert p4.missingness == p1
    assert (p4.partition.name == "dirichlet" and p4.partition.concentration) == 0.3


@pytest.mark.parametrize("name", [n for n in PROTOCOLS if n.startswith("p1_") and n[3:].isdigit()])
def test_permutations_of_p1_are_named_by_ten_times_their_rates(name: str) -> None:
    config = load_config([f"protocol={name}"]).missingness
    assert config.name == "imbalanced"
    assert config.in_order == tuple(int(digit) / 10 for digit in name.removeprefix("p1_"))
    assert config.rates == {}


@pytest.mark.parametrize(
    ("dataset", "sites"),
    [pytest.param(n, s, marks=needs(n)) for n, s in (("sound_mnist", 1), ("leaves100", 2), ("hapt", 3))],
)
def test_p2_leaves_the_weakest_modality_to_a_tenth_to_a_fifth_of_the_sites(dataset: str, sites: int) -> None:
    config, data, masks = drawn("protocol=p2", f"dataset={dataset}")
    assert config.missingness.name == "rare"
    weak = [m.name for m in data.modalities].index(config.missingness.modality)
    found = holders(data, masks)
    everyone = len(training(data, masks))
    assert found[weak] == sites
    assert all(number == everyone for column, number in enumerate(found) if column != weak)


@needs("hapt")
def test_fedmultimodal_loses_24_of_105_clients_and_leaves_30_complete() -> None:
    _, data, masks = drawn("protocol=fedmultimodal")
    kinds = Counter(tuple(rows.any(axis=0).tolist()) for rows in training(data, masks).values())
    assert [m.name for m in data.modalities] == ["body", "gyro"]
    assert kinds == {(True, True): 30, (False, False): 24, (False, True): 49 - 24, (True, False): 50 - 24}
    assert min(int((s.split == "train").sum()) for n, s in data.sites.items() if n in training(data, masks)) >= 5


@needs("hapt")
def test_flism_hides_from_twelve_of_21_people_four_to_eight_of_nine_axes() -> None:
    _, data, masks = drawn("protocol=flism")
    lost = [int((~rows.any(axis=0)).sum()) for rows in training(data, masks).values()]
    assert len(lost) == 21
    assert sorted(lost)[:9] == [0] * 9
    assert all(4 <= number <= 8 for number in sorted(lost)[9:])


@needs("sound_mnist")
@pytest.mark.parametrize(
    ("kind", "a", "b", "both"), [("complete", 0, 0, 10), ("incomplete", 3, 3, 4), ("exclusive", 5, 5, 0)]
)
def test_blossom_splits_ten_sites(kind: str, a: int, b: int, both: int) -> None:
    _, data, masks = drawn(f"protocol=blossom_{kind}")
    kinds = Counter(tuple(rows.any(axis=0).tolist()) for rows in training(data, masks).values())
    assert kinds == Counter({(True, False): a, (False, True): b, (True, True): both})


LEADS = {
    "default": (2, 91, 6, (9, 6, 5, 12, 9, 13, 5, 8, 8, 6, 3, 7), 0.62),
    "equal": (6, 120, 6, (12, 10, 6, 12, 10, 11, 6, 16, 11, 11, 6, 9), 0.50),
    "case3": (1, 75, 8, (8, 11, 4, 8, 6, 6, 8, 4, 7, 6, 4, 3), 0.69),
    "case4": (6, 154, 10, (11, 14, 13, 14, 11, 15, 11, 14, 10, 14, 15, 12), 0.36),
}


@pytest.mark.parametrize("name", LEADS)
def test_lead_tables_have_the_published_margins(name: str) -> None:
    least, total, most, per_lead, missing = LEADS[name]
    config = load_config([f"protocol=lmf_{name}"]).missingness
    assert isinstance(config, SiteTableConfig)
    sizes = [len(entry) for entry in config.in_order]
    assert (len(sizes), min(sizes), sum(sizes), max(sizes)) == (20, least, total, most)
    assert tuple(sum(lead in entry for entry in config.in_order) for lead in range(12)) == per_lead
    assert round(1 - total / 240, 2) == pytest.approx(missing, abs=0.01)
    assert len(set(config.in_order)) > 10 or name == "case4"


@needs("leaves100")
def test_lead_tables_run_on_twelve_blocks_of_leaves_and_first_rows_miss_half_of_them() -> None:
    config, data, masks = drawn("protocol=lmf_default")
    assert len(data.modalities) == 12
    assert isinstance(config.missingness, SiteTableConfig)
    for entry, rows in zip(config.missingness.in_order, training(data, masks).values(), strict=True):
        assert tuple(np.flatnonzero(rows.any(axis=0)).tolist()) == tuple(sorted(entry))
        counts = Counter(rows.sum(axis=1).tolist())
        assert counts[len(entry) - len(entry) // 2] >= len(rows) // 2


HARMONY = {
    "harmony": {(1, 1): 4, (1, 0): 5, (0, 1): 5},
    "harmony_ad1": {(1, 0, 0): 2, (0, 1, 0): 2, (0, 0, 1): 2, (1, 1, 1): 10},
    "harmony_ad2": {(1, 1, 0): 2, (0, 1, 1): 2, (1, 0, 1): 2, (1, 1, 1): 10},
    "harmony_ad3": {(1, 0, 0): 1, (0, 1, 0): 1, (0, 0, 1): 1, (1, 1, 0): 2, (0, 1, 1): 2, (1, 0, 1): 2, (1, 1, 1): 7},
    "harmony_flash": {(1, 0, 0): 6, (0, 1, 0): 6, (0, 0, 1): 6, (1, 1, 1): 12},
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=needs("leaves100" if n == "harmony_flash" else "hapt")) for n in HARMONY]
)
def test_harmony_deals_its_modality_sets_to_its_nodes(name: str) -> None:
    _, data, masks = drawn(f"protocol={name}")
    kinds = Counter(tuple(rows.any(axis=0).astype(int).tolist()) for rows in training(data, masks).values())
    assert kinds == HARMONY[name]


@needs("leaves100")
def test_redcore_hides_floors_and_binds_to_rows_or_places() -> None:
    row, data, _ = drawn("protocol=redcore_row")
    place = load_config(["protocol=redcore_position"])
    assert (row.missingness.bind, place.missingness.bind) == ("row", "position")
    assert place.missingness == row.missingness.model_copy(update={"bind": "position"})
    raw = draw_masks(data, row.missingness.model_copy(update={"on_empty": "drop"}), row.seed)
    everything = np.vstack(list(training(data, raw).values()))
    empty, complete = (~everything.any(axis=1)).mean(), everything.all(axis=1).mean()
    assert abs(empty - 0.080) < 4.5 * np.sqrt(0.08 * 0.92 / 1000)  # 8.0 % hold nothing, 7.6 % all
    assert abs(complete - 0.076) < 4.5 * np.sqrt(0.08 * 0.92 / 1000)
    for name, rows in training(data, raw).items():
        natural = data.sites[name].available[data.sites[name].split == "train"].sum(axis=0)
        floors = [int(held * tenth) // 10 for held, tenth in zip(natural.tolist(), (2, 5, 8), strict=True)]
        assert (natural - rows.sum(axis=0)).tolist() == floors


@needs("sound_mnist")
@pytest.mark.parametrize(("per_class", "missing"), [(4, 0.886), (7, 0.800), (18, 0.486), (35, 0.0)])
def test_mce_digits_has_its_real_missing_rates_and_balanced_speakers(per_class: int, missing: float) -> None:
    _, data, masks = drawn("protocol=mce_digits", f"missingness.per_class={per_class}")
    parts = training(data, masks)
    assert list(parts) == ["jackson", "nicolas", "theo"]
    everything = np.vstack(list(parts.values()))
    assert everything.shape == (1050, 2)
    assert everything[:, 0].all()
    assert round(1 - everything[:, 1].mean(), 3) == missing
    for name, rows in parts.items():
        site = data.sites[name]
        targets = site.targets[site.split == "train"]
        assert Counter(targets[rows[:, 1]].tolist()) == dict.fromkeys(range(10), per_class)
        assert all(np.flatnonzero(~rows[targets == t, 1])[:1].tolist() in ([per_class], []) for t in range(10))


@needs("leaves100")
@pytest.mark.parametrize(
    ("name", "shares"),
    [
        ("258", {1: 49, 2: 0.5, 3: 31, 6: 18, 7: 1}),
        ("852", {1: 22, 2: 0.3, 4: 31, 6: 45, 7: 1}),
    ],
)
def test_nuscenes_patterns_have_their_shares_at_every_site(name: str, shares: dict[int, float]) -> None:
    _, data, masks = drawn(f"protocol=nuscenes_{name}")
    whole = {site: rows for site, rows in training(data, masks).items() if data.sites[site].available.all()}
    assert len(whole) >= 9
    for rows in whole.values():
        found = Counter(pattern_codes(rows).tolist())
        assert set(found) <= set(shares)
        for code, share in shares.items():
            assert abs(found[code] - share / sum(shares.values()) * len(rows)) < 1


@needs("leaves100")
def test_passion_serves_every_pattern_and_leaves_nothing_empty() -> None:
    _, data, masks = drawn("protocol=passion")
    for rows in training(data, masks).values():
        found = Counter(pattern_codes(rows).tolist())
        assert set(found) == set(range(1, 16))
        assert found[6] >= int(len(rows) * 0.6 * 0.6 * 0.8 * 0.8)
    present = np.mean([rows.mean(axis=0) for rows in training(data, masks).values()], axis=0)
    assert np.abs(present - np.array([90, 135, 184, 43]) / 219).max() < 0.05  # as realised in the published file


def test_the_documentation_names_every_mechanism_and_protocol(repository: Path) -> None:
    text = (repository / "docs" / "missingness.md").read_text()
    absent = [name for name in (*groups()["missingness"], *PROTOCOLS) if f"`{name}`" not in text and name != "none"]
    assert absent == []
