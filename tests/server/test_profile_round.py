"""Round 0: who takes part, and what stops a run before it begins."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, Context
from flwr.clientapp import ClientApp

from client.app import app as client_app
from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset
from fedmce.errors import RunError
from fedmce.flower_compat import Message, array_record, arrays_of, identity
from fedmce.missingness import draw_masks, observe
from fedmce.models import feature_sums, pool
from fedmce.networks import spec_for
from server.federation import shared_part
from server.profile_round import ProfileRound, Register, profile_round
from server.settings import run_settings, write_config
from simulations.engines.inprocess import InProcessGrid
from tests.server.made import MODALITIES, SITES, made_config, made_dataset, made_site, roster_of, use

Change = Callable[[Message], Any]


def app_that(change: Change | None = None, site: str | None = None) -> ClientApp:
    """The real client app with a node of our own naming, or with its reply changed on the way."""

    def call(message: Message, context: Context) -> Message:
        if site is not None and context.node_config["partition-id"] == 1:
            context.node_config["site"] = site
        reply = client_app(message, context)
        if change is not None and context.node_config["partition-id"] == 1:
            change(reply)
        return reply

    return call  # type: ignore[return-value]


def profiled(
    dataset: FederatedDataset, app: Any = client_app, nodes: int | None = None, wait_sites_s: float = 5.0
) -> ProfileRound:
    config = made_config(exchange__wait_sites_s=wait_sites_s)
    with identity(1) as run:
        count = nodes or len(dataset.sites)
        grid = InProcessGrid(app, count, run)
        spec = spec_for(dataset, config)
        return profile_round(Register(grid, config, spec), config, spec, len(dataset.sites), strict=True)


def test_the_roster_is_sorted_by_name_and_grants_what_each_site_holds(made: FederatedDataset) -> None:
    roster = profiled(made).roster
    assert list(roster.profiles) == sorted(SITES)
    assert roster.modalities("birch") == ("image", "blood")
    assert roster.modalities("dale") == ("sound", "blood")
    assert not any(name.endswith(".sound") for name in roster.granted("birch"))
    assert "fusion" in roster.granted("birch")
    assert set(roster.granted("ash")) == set(roster.components)


def test_counts_and_statistics_are_those_of_observed_training_entries(made: FederatedDataset) -> None:
    roster, config = profiled(made).roster, made_config()
    masks = draw_masks(made, config.missingness, config.seed)
    rows = {s: observe(made.sites[s], masks.sites[s], MODALITIES, "train") for s in SITES}
    found = roster.statistics(spec_for(made, config))
    for m in MODALITIES:
        expected = pool({s: feature_sums(r.values[m.name], m) for s, r in rows.items()})
        np.testing.assert_array_equal(found[m.name].mean, expected.mean)
        np.testing.assert_array_equal(found[m.name].std, expected.std)
    for site, observed in rows.items():
        assert list(roster.profiles[site].rows_by_modality.values()) == observed.available.sum(axis=0).tolist()


def test_two_nodes_of_one_name_are_refused(made: FederatedDataset) -> None:
    with pytest.raises(RunError, match="two nodes say that they are site 'dale'"):
        profiled(made, app_that(site="dale"))


def test_D60_two_sites_that_tell_the_same_data_are_refused_and_both_named(made: FederatedDataset) -> None:
    def call(message: Message, context: Context) -> Message:
        reply = client_app(message, context)
        reply.content.config_records["stamp"]["data"] = "ab" * 32 if context.node_config["partition-id"] < 2 else "cd"
        return reply

    with pytest.raises(
        RunError, match=r"D60 site\.yaml, site birch: the same data as cedar; allowed: .*; fix: use each"
    ):
        profiled(made, call)


def test_a_node_that_knows_no_such_site_is_refused(made: FederatedDataset) -> None:
    with pytest.raises(RunError, match=r"a node failed: plan_refused \(trace: sites.log in the run folder"):
        profiled(made, app_that(site="nowhere"))


@pytest.mark.parametrize("nodes", [3, 5])
def test_another_number_of_nodes_than_sites_is_refused(made: FederatedDataset, nodes: int) -> None:
    with pytest.raises(RunError, match=rf"{nodes} nodes are connected for 4 sites"):
        profiled(made, nodes=nodes, wait_sites_s=0.1)


def test_a_missing_node_is_waited_for(made: FederatedDataset) -> None:
    """A node that connects late is still profiled."""
    config = made_config()
    with identity(1) as run:
        grid = InProcessGrid(client_app, 4, run)
        seen = iter([[1, 2], [1, 2, 3, 4]])
        grid.get_node_ids = lambda: next(seen)  # type: ignore[method-assign]
        assert len(roster_of(grid, config, spec_for(made, config), 4).profiles) == 4


def put(key: str, value: Any) -> Change:
    return lambda reply: reply.content["report"].__setitem__(key, value)


def poison(reply: Message) -> None:
    sums = arrays_of(reply.content["statistics"])
    sums["blood/total"][0] = math.nan
    reply.content["statistics"] = array_record(sums)


def garble(reply: Message) -> None:
    record = reply.content["statistics"]
    record["blood/total"] = Array("float64", record["blood/total"].shape, "numpy.ndarray", b"not numbers")


def misshape(reply: Message) -> None:
    sums = arrays_of(reply.content["statistics"])
    sums["blood/total"] = sums["blood/total"][:1]
    reply.content["statistics"] = array_record(sums)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (put("rows", -1), "counts do not add up"),
        (put("rows", 23), "counts do not add up"),
        (put("rows_by_modality", [24, 24, 25]), "counts do not add up"),
        (put("rows_by_modality", [24]), "layout of the profile reply"),
        (put("train.pattern_rows", [1]), "layout of the profile reply|counts do not add up"),
        (put("class_rows", [1, 1, 1]), "counts do not add up"),
        (lambda reply: reply.content["report"].__delitem__("train.patterns"), "layout of the profile reply"),
        (lambda reply: reply.content["report"].__delitem__("train.size.rows"), "layout of the profile reply"),
        (put("train.size.size", [0] * 20), "layout of the profile reply|counts do not add up"),
        (poison, "sums of blood are not finite"),
        (put("rows", math.inf), "OverflowError"),
        (put("rows", math.nan), "layout of the profile reply"),
        (garble, "cannot be read"),
        (misshape, "sums of blood are not finite"),
        (lambda reply: reply.content.__delitem__("stamp"), r"a node sent \[.report., .statistics.\]"),
    ],
)
def test_a_profile_that_does_not_fit_together_is_refused(made: FederatedDataset, change: Change, what: str) -> None:
    with pytest.raises(RunError, match=what):
        profiled(made, app_that(change))


def test_all_problems_stand_in_one_message(made: FederatedDataset) -> None:
    def call(message: Message, context: Context) -> Message:
        if context.node_config["partition-id"] in (1, 3):
            raise RuntimeError("broken")
        if context.node_config["partition-id"] == 2:
            context.node_config["site"] = "nowhere"
        return client_app(message, context)

    with pytest.raises(RunError, match=r"2 x a node failed: code 2; a node failed: plan_refused"):
        profiled(made, call)


def test_a_federation_without_training_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    only_test = {"train": 0, "validation": 0, "test": 5}
    dataset = use(monkeypatch, made_dataset(made_site("elm", only_test), made_site("fir", only_test)))
    with pytest.raises(RunError, match="no site has training rows"):
        profiled(dataset)


def test_neither_name_nor_folder_nor_engine_travels() -> None:
    one = made_config(name="a", out="/somewhere/far", engine__name="flower")
    other = made_config(name="another-name")
    assert shared_part(one, SITES) == shared_part(other, SITES)
    assert shared_part(one, SITES) != shared_part(one, SITES[::-1])
    assert shared_part(one, SITES).fingerprint() == shared_part(one, SITES[::-1]).fingerprint()
    assert RunConfig.model_validate_json(shared_part(one, SITES).to_json()) == shared_part(one, SITES)


def test_settings_come_from_the_prepared_file_or_are_composed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = made_config(name="kept")
    path = write_config(config, tmp_path)
    prepared = run_settings({"config-path": str(path), "overrides": "", "out": ""})
    assert (prepared.config, prepared.folder, prepared.prepared) == (config, tmp_path, True)
    monkeypatch.chdir(tmp_path)
    composed = run_settings(
        {"config-path": "", "overrides": "rounds=3 name='my run'".replace("my run", "mine"), "out": ""}
    )
    assert (composed.config.rounds, composed.config.name, composed.prepared) == (3, "mine", False)
    assert composed.folder.parent.name == "runs"
    assert composed.folder.name.endswith("-mine")
    assert run_settings({"config-path": str(composed.folder / "config.yaml"), "out": ""}).config == composed.config
