"""Cells of the matrix against predictions row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.cli.compose import load_config
from fedmce.cli.groups import groups
from fedmce.config.missingness import MissingnessConfig
from fedmce.config.schema import ImbalancedConfig, McarConfig, NaturalConfig, RunConfig, SitewiseConfig
from fedmce.data import FederatedDataset, dataset_of
from fedmce.errors import ConfigError
from fedmce.matrix import Scored, TrainedRun, lines, score_under, tree
from fedmce.missingness import draw_masks
from fedmce.missingness.scoring_mask import draw_test_masks
from fedmce.subsets import members, pattern_codes, scored_subsets, subset_name
from tests.matrix.made import Bools, toy, toy_run

RATES = ImbalancedConfig(rates={"a": 0.5, "c": 0.75})


def answers(run: TrainedRun, site: str, available: Bools) -> tuple[Bools, np.ndarray, np.ndarray]:
    """What each test row is left with, the probabilities that its file of samples would get, and the classes."""
    rows = run.dataset.sites[site]
    test = np.flatnonzero((rows.split == "test") & available.any(axis=1))
    features = {name: values[test] for name, values in rows.features.items()}
    return available[test], run.model.predict(features, available[test], run.use_completion), rows.targets[test]


def hits(run: TrainedRun, masks: dict[str, Bools]) -> dict[str, Bools]:
    found = {}
    for site, available in masks.items():
        _, probability, target = answers(run, site, available)
        found[site] = probability.argmax(axis=1) == target
    return found


@given(seed=st.integers(0, 50), modalities=st.integers(2, 4), use=st.sampled_from(["off", "full"]))
def test_each_row_is_answered_with_what_the_mask_leaves_it(seed: int, modalities: int, use: str) -> None:
    run = toy_run(toy(modalities), use=use)
    masks = draw_test_masks(run.dataset, RATES, seed)
    right = hits(run, {n: m.available for n, m in masks.sites.items()})
    scored = score_under(run, "x", RATES, seed)
    every = np.concatenate(list(right.values()))
    assert (scored.under, scored.metric, scored.rows) == ("x", "accuracy", len(every))
    assert scored.as_available == pytest.approx(every.mean())
    assert scored.per_site == pytest.approx({site: r.mean() for site, r in right.items()})
    assert scored.mean_over_sites == pytest.approx(np.mean([r.mean() for r in right.values()]))


def test_under_natural_the_deployed_mean_and_shares_are_those_of_the_gaps_that_the_data_came_with() -> None:
    run = toy_run(toy())
    scored = score_under(run, "natural", NaturalConfig())
    codes = np.concatenate([pattern_codes(s.available[s.split == "test"]) for s in run.dataset.sites.values()])
    names = tuple(m.name for m in run.dataset.modalities)
    assert scored.shares == pytest.approx({subset_name(int(c), names): (codes == c).mean() for c in np.unique(codes)})
    assert scored.covered == 1


@given(seed=st.integers(0, 30))
def test_deployed_weighs_the_score_of_every_row_that_holds_a_subset_by_how_often_the_mask_leaves_it(seed: int) -> None:
    run = toy_run(toy())
    scored = score_under(run, "x", RATES, seed)
    score = {}
    for name, code in scored_subsets(("a", "b", "c")).items():
        wanted = members(np.array([code]), 3)[0]
        only = {
            n: np.where((s.available & wanted).sum(axis=1, keepdims=True) == wanted.sum(), wanted, False)
            for n, s in run.dataset.sites.items()
        }
        score[name] = np.concatenate(list(hits(run, only).values())).mean()
    assert sum(scored.shares.values()) == pytest.approx(1)
    assert scored.deployed == pytest.approx(sum(share * score[name] for name, share in scored.shares.items()))


def test_rows_of_a_pattern_are_scored_together_and_add_up_to_all() -> None:
    run = toy_run(toy())
    scored = score_under(run, "x", RATES, 3)
    assert scored.per_pattern.keys() == scored.shares.keys()
    whole = sum(share * (scored.per_pattern[name] or 0) for name, share in scored.shares.items())
    assert scored.as_available == pytest.approx(whole)


def test_an_auc_compares_rows_of_one_site_only() -> None:
    run = toy_run(toy(classes=2))
    masks = draw_test_masks(run.dataset, RATES, 1)
    wins, pairs, per_site = 0.0, 0, {}
    for site, mask in masks.sites.items():
        _, probability, target = answers(run, site, mask.available)
        up, down = probability[target == 1, 1], probability[target == 0, 1]
        won = (up[:, None] > down).sum() + (up[:, None] == down).sum() / 2
        wins, pairs, per_site[site] = wins + won, pairs + len(up) * len(down), won / (len(up) * len(down))
    scored = score_under(run, "x", RATES, 1)
    assert scored.metric == "auc_within_sites"
    assert scored.as_available == pytest.approx(wins / pairs)
    assert scored.per_site == pytest.approx(per_site)


@pytest.mark.parametrize("use", ["off", "full"])
def test_with_more_modalities_than_subsets_are_listed_for_rows_are_still_answered_with_what_they_have(use: str) -> None:
    run = toy_run(_nine(), use=use)
    config = McarConfig(rate=0.8, draw="independent", on_empty="drop")
    masks = draw_test_masks(run.dataset, config, 0)
    right = np.concatenate(list(hits(run, {n: m.available for n, m in masks.sites.items()}).values()))
    scored = score_under(run, "x", config, 0)
    assert 0 < scored.shares["nothing"] < 1
    assert scored.rows == len(right)
    assert scored.as_available == pytest.approx(right.mean())
    assert 0 <= scored.covered < 1


def test_a_row_that_the_data_came_without_anything_of_is_no_row() -> None:
    data = toy()
    site = data.sites["south"]
    available = site.available.copy()
    available[1] = False  # the first of its test rows
    bare = replace(data, sites=data.sites | {"south": replace(site, available=available)})
    run = toy_run(bare)
    masks = draw_test_masks(bare, RATES, 0)
    right = np.concatenate(list(hits(run, {n: m.available for n, m in masks.sites.items()}).values()))
    scored = score_under(run, "x", RATES, 0)
    assert scored.as_available == pytest.approx(right.mean())
    assert scored.rows == len(right) == 44
    assert "nothing" not in scored.shares


def test_the_masks_of_test_rows_are_those_of_the_seed_whatever_the_run_or_its_training_masks() -> None:
    data = toy()
    one, other = toy_run(data), toy_run(data, ["missingness=imbalanced", "missingness.rates={a: 0.9}"])
    assert score_under(one, "x", RATES).masks_sha256 == score_under(other, "x", RATES).masks_sha256
    assert score_under(one, "x", RATES).masks_sha256 != score_under(one, "x", RATES, 1).masks_sha256
    assert score_under(one, "x", RATES, 5) == score_under(toy_run(data, ["seed=5"]), "x", RATES)


def test_a_mask_leaves_nothing_of_training_rows_and_something_of_every_test_row_at_exact_counts() -> None:
    data = toy(3, rows=80)
    full = replace(data, sites={n: replace(s, available=np.ones_like(s.available)) for n, s in data.sites.items()})
    masks = draw_test_masks(full, ImbalancedConfig(rates={"a": 0.25}), 0)
    for name, site in full.sites.items():
        left = masks.sites[name].available
        assert not left[site.split != "test"].any()
        assert left[site.split == "test"].sum(axis=0).tolist() == [30, 40, 40]
    gaps = draw_test_masks(data, RATES, 0)
    for name, site in data.sites.items():
        left = gaps.sites[name].available
        assert not (left & ~site.available).any()
        assert left[site.split == "test"].any(axis=1).all()


def test_a_site_s_test_mask_depends_on_no_other_site_and_its_rates_are_those_of_its_training() -> None:
    data, config = toy(3, rows=80), SitewiseConfig(rates={"a": (0.2, 0.9)}, reversed_sites=0)
    whole, one = draw_test_masks(data, config, 4), draw_test_masks(data, config, 4, ["south"])
    np.testing.assert_array_equal(whole.sites["south"].available, one.sites["south"].available)
    assert whole.rates == draw_masks(data, config, 4).rates


def _nine() -> FederatedDataset:
    """Nine modalities, one more than whose subsets are all listed: the toy's names end before."""
    data = toy()
    names = tuple(f"{m.name}{copy}" for copy in range(3) for m in data.modalities)
    modalities = tuple(replace(m, name=f"{m.name}{copy}") for copy in range(3) for m in data.modalities)
    sites = {
        n: replace(
            s,
            features={name: s.features[name[0]] for name in names},
            available=np.tile(s.available, (1, 3)),
        )
        for n, s in data.sites.items()
    }
    return replace(data, modalities=modalities, sites=sites)


def _defaults() -> dict[str, MissingnessConfig]:
    """Every mechanism that needs no keys on the embedded data set."""
    found: dict[str, MissingnessConfig] = {}
    for name in groups()["missingness"]:
        try:
            found[name] = load_config(["dataset=av_digits", f"missingness={name}"]).missingness
        except ConfigError:
            continue
    return found


@pytest.mark.parametrize("name", sorted(_defaults()))
def test_every_mechanism_masks_test_rows(name: str) -> None:
    config: RunConfig = load_config(["dataset=av_digits"])
    data, mechanism = dataset_of(config), _defaults()[name]
    masks = draw_test_masks(data, mechanism, 0)
    for site, rows in data.sites.items():
        test = rows.split == "test"
        assert masks.sites[site].available[test].any()
        assert not masks.sites[site].available[~test].any()
    # A mechanism that hides something of the training rows by default hides something of test rows too.
    trained = draw_masks(data, mechanism, 0)
    hidden = {
        split: np.mean([(~m.available[data.sites[n].split == split]).mean() for n, m in drawn.sites.items()])
        for split, drawn in (("train", trained), ("test", masks))
    }
    assert (hidden["test"] > 0) == (hidden["train"] > 0)


def test_rows_that_are_left_with_nothing_are_counted_and_not_scored() -> None:
    run = toy_run(toy())
    config = McarConfig(rate=0.7, draw="independent", on_empty="drop")
    scored = score_under(run, "x", config)
    rows = sum(int((s.split == "test").sum()) for s in run.dataset.sites.values())
    assert scored.rows == round((1 - scored.shares["nothing"]) * rows) < rows
    assert "nothing" not in scored.per_pattern
    assert scored.covered == pytest.approx(1 - scored.shares["nothing"])


def test_tidy_lines_and_tree_hold_the_same_numbers() -> None:
    run = toy_run(toy())
    found = [score_under(run, label, RATES, seed) for label, seed in (("x", 0), ("y", 1))]
    table = lines([(run, found)])
    records = [dict(zip(table[0], line, strict=True)) for line in table[1:]]
    for scored in found:
        own = [r for r in records if r["under"] == scored.under]
        by_measure = {r["measure"]: r["score"] for r in own if r["measure"] != "pattern"}
        assert by_measure == {m: f"{_of(scored, m):.6f}" for m in ("as_available", "mean_over_sites", "deployed")}
        patterns = {r["subset"]: (r["score"], r["share"]) for r in own if r["measure"] == "pattern"}
        assert patterns == {s: (f"{scored.per_pattern[s]:.6f}", f"{share:.6f}") for s, share in scored.shares.items()}
    whole = tree([(run, found)])
    assert whole["schema"] == "fedmce.matrix/1"
    assert whole["rows"][0]["scores"]["y"]["deployed"] == found[1].deployed
    assert whole["rows"][0]["trained_under"] == "natural"


def _of(scored: Scored, measure: str) -> float:
    value: float = getattr(scored, measure)
    return value
