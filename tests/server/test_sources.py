"""Where contributions are measured: on rows as received, on rows held out, at the server; exactly or sampled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from client.app import app as client_app
from client.heldout import heldout_rows, take_rows, without
from client.workplace import Workplace, open_workplace
from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset
from fedmce.errors import ConfigError
from fedmce.flower_compat import Message, identity
from fedmce.missingness import ObservedRows, SiteMask, observe
from fedmce.models import MultimodalNet, Statistics, state_of
from fedmce.networks import spec_for
from fedmce.subsets import pattern_codes
from server.gate import Accepted
from server.referee import ServerRows
from server.state import GlobalState
from server.strategy import ComponentStrategy
from simulations import engines
from simulations.engines.inprocess import InProcessGrid
from tests.oracles.worlds import make_site, rows_of
from tests.server.faults import Parts
from tests.server.made import MODALITIES, SITES, Federation, made_config, made_dataset, made_site, roster_of, use

SCALES = {m.name: Statistics(np.zeros(m.statistics_shape, "f4"), np.ones(m.statistics_shape, "f4")) for m in MODALITIES}


def opened(config: RunConfig, dataset: FederatedDataset, run: Any) -> Federation:
    spec = spec_for(dataset, config)
    grid = InProcessGrid(client_app, len(dataset.sites), run)
    roster = roster_of(grid, config, spec, len(dataset.sites))
    statistics = roster.statistics(spec)
    referee = ServerRows(dataset, config, spec, statistics) if config.contributions.source == "server" else None
    initial = GlobalState(0, state_of(MultimodalNet(spec, seed=config.seed)))
    return Federation(grid, ComponentStrategy(config, spec, roster, statistics, initial, referee), initial)


CASES: list[dict[str, Any]] = [
    {"contributions__source": source, "contributions__value": value, "contributions__index": index}
    for source, value, index in (
        ("received", "probability", "banzhaf"),
        ("heldout", "negative_squared_error", "shapley"),
        ("server", "soft_dice", "leave_one_out"),
    )
] + [
    {"contributions__source": source, "contributions__estimator": estimator, "contributions__budget": 4}
    for source, estimator in (("received", "antithetic"), ("heldout", "stratified"), ("server", "kernel"))
]


@pytest.mark.parametrize("changes", CASES, ids=lambda c: "-".join(str(v) for v in c.values()))
def test_every_honest_reply_is_accepted_and_what_a_site_lacks_stays_undefined(
    made: FederatedDataset, changes: dict[str, Any]
) -> None:
    with identity(1) as run:
        federation = opened(made_config(**changes), made, run)
        federation.commit(federation.train_replies().values())
    outcome = federation.strategy.outcome
    assert outcome is not None
    assert all(isinstance(v, Accepted) for v in outcome.verdicts.values()), outcome.verdicts
    insight = outcome.insight
    assert insight is not None
    assert insight.by_site["birch"]["sound"] is None
    assert insight.by_site["dale"]["image"] is None
    assert insight.standard_errors_by_site["dale"]["image"] is None
    assert "image" not in insight.quality["dale"]
    assert all(v is not None for v in insight.contributions.values())
    assert all(v is not None and v >= 0 for v in insight.standard_errors.values())
    assert insight.quality.keys() == set(SITES)


def test_the_value_of_nothing_follows_the_value_function(made: FederatedDataset) -> None:
    found = {}
    for value in ("accuracy", "probability", "negative_squared_error"):
        with identity(1) as run:
            found[value] = opened(made_config(contributions__value=value), made, run).strategy.roster
    counts = np.sum([p.class_rows for p in found["accuracy"].profiles.values()], axis=0)
    share = counts / counts.sum()
    assert found["accuracy"].empty_value == pytest.approx(share.max())
    assert found["probability"].empty_value == pytest.approx((share**2).sum())
    assert found["negative_squared_error"].empty_value == pytest.approx((share**2).sum() - 1)
    assert found["probability"].empty_accuracy == pytest.approx(share.max())


def rows_for(codes: list[int]) -> ObservedRows:
    site = make_site("x", np.ones((len(codes), 3), dtype=bool))
    from tests.oracles.worlds import small_spec

    return observe(site, SiteMask(site.sample_ids, rows_of(codes, 3)), small_spec(3).modalities, "train")


@pytest.mark.parametrize("seed", range(5))
def test_every_pattern_gives_its_share_to_the_rows_held_out(seed: int) -> None:
    rows = rows_for([7] * 40 + [3] * 20 + [1] * 10)
    out = heldout_rows(rows, 0.2, np.random.default_rng(seed))
    codes, counts = np.unique(pattern_codes(rows.available[out]), return_counts=True)
    assert len(out) == len(set(out.tolist())) == 14
    assert dict(zip(codes.tolist(), counts.tolist(), strict=True)) == pytest.approx({7: 8, 3: 4, 1: 2}, abs=1)


def test_rows_held_out_are_a_share_even_where_every_row_has_its_own_pattern() -> None:
    assert len(heldout_rows(rows_for([1, 2, 3, 4, 5, 6, 7]), 0.3, np.random.default_rng(0))) == 2
    assert len(heldout_rows(rows_for([1, 2]), 0.9, np.random.default_rng(0))) == 1
    assert len(heldout_rows(rows_for([1]), 0.5, np.random.default_rng(0))) == 0


def test_taken_rows_carry_their_own_values_and_no_others() -> None:
    rows = rows_for([7, 1, 6, 4, 2, 5, 3, 7])
    chosen = np.array([0, 2, 5])
    taken, left = take_rows(rows, chosen), without(rows, tuple(rows.sample_ids[i] for i in chosen))
    assert sorted(taken.sample_ids + left.sample_ids) == sorted(rows.sample_ids)
    for part in (taken, left):
        for place, name in enumerate(part.sample_ids):
            row = rows.sample_ids.index(name)
            assert part.targets[place] == rows.targets[row]
            for column, modality in enumerate(part.values):
                assert part.available[place, column] == rows.available[row, column]
                if rows.available[row, column]:
                    mine = part.values[modality][part.slot[place, column]]
                    assert np.array_equal(mine, rows.values[modality][rows.slot[row, column]])
        for column, values in enumerate(part.values.values()):
            assert len(values) == part.available[:, column].sum()


def test_rows_held_out_never_train_and_stay_the_same(made: FederatedDataset) -> None:
    config = made_config(contributions__source="heldout", contributions__heldout_share=0.25)
    place = open_workplace(config.to_json(), "cedar")
    whole = open_workplace(made_config().to_json(), "cedar")
    assert place.heldout is not None
    assert whole.heldout is None
    assert place.heldout.rows == 6
    assert not set(place.heldout.sample_ids) & set(place.train.sample_ids)
    assert set(place.heldout.sample_ids) | set(place.train.sample_ids) == set(whole.train.sample_ids)
    open_workplace.cache_clear()
    again: Workplace = open_workplace(config.to_json(), "cedar")
    assert again.heldout is not None
    assert again.heldout.sample_ids == place.heldout.sample_ids
    assert all(len(again.train.values[m.name]) < len(whole.train.values[m.name]) for m in MODALITIES)


def test_with_the_server_as_source_a_site_is_not_asked_and_may_not_claim(made: FederatedDataset) -> None:
    with identity(1) as run:
        federation = opened(made_config(contributions__source="server"), made, run)
        replies = federation.train_replies()
        reports = [dict(reply.content["report"]) for reply in replies.values()]
        assert not any(key.startswith(("value.", "share.")) for report in reports for key in report)
        parts = Parts(replies["ash"])
        parts.report["share.rows"] = [3]
        sent = federation.strategy._sent[federation.sites.index("ash")].message
        federation.commit((replies | {"ash": parts.reply_to(sent)}).values())
    verdict = federation.strategy.outcome.verdicts["ash"]  # type: ignore[union-attr]
    assert isinstance(verdict, Accepted)
    assert [note.reason for note in verdict.notes] == ["claim"]
    assert verdict.tally is None


def test_the_server_measures_what_a_site_returned(made: FederatedDataset) -> None:
    """A site that returns noise for an encoder loses its contribution, whatever it would have said of itself."""

    def spoiled(reply: Message, fed: Federation) -> Message:
        parts = Parts(reply)
        numbers = np.random.default_rng(0)
        from flwr.app import Array

        for key in [k for k in parts.update if k.startswith(("encoder.image", "projection.image", "head.image"))]:
            shape = parts.update[key].shape
            parts.update[key] = Array(numbers.normal(size=shape).astype(np.float32) * 3)
        return parts.reply_to(fed.strategy._sent[fed.sites.index("ash")].message)

    with identity(1) as run:
        config = made_config(
            contributions__source="server", contributions__value="probability", training__local_epochs=4
        )
        federation = opened(config, made, run).warm(6)
        replies = federation.train_replies()
        federation.commit(replies.values())
        honest = federation.strategy.outcome.insight  # type: ignore[union-attr]
        federation.rewind()
        federation.commit((replies | {"ash": spoiled(replies["ash"], federation)}).values())
        broken = federation.strategy.outcome.insight  # type: ignore[union-attr]
    assert honest is not None
    assert broken is not None
    assert broken.by_site["ash"]["image"] < honest.by_site["ash"]["image"]  # type: ignore[operator]
    assert broken.by_site["birch"] == honest.by_site["birch"]


def test_without_validation_rows_the_server_refuses_to_be_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = {"train": 12, "validation": 0, "test": 4}
    dataset = use(monkeypatch, made_dataset(made_site("elm", counts), made_site("fir", counts)))
    config = made_config(contributions__source="server", missingness={"name": "natural"})
    with pytest.raises(ConfigError, match=r"contributions\.source: given server, but .* no validation rows"):
        ServerRows(dataset, config, spec_for(dataset, config), SCALES)


def test_an_engine_refuses_such_a_source_before_it_makes_a_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counts = {"train": 12, "validation": 0, "test": 4}
    use(monkeypatch, made_dataset(made_site("elm", counts), made_site("fir", counts)))
    config = made_config(contributions__source="server", missingness={"name": "natural"})
    with pytest.raises(ConfigError, match="no validation rows"):
        engines.run(config, tmp_path / "run", lambda event: None)
    assert not (tmp_path / "run").exists()


def test_a_strategy_has_a_referee_exactly_where_the_server_is_the_source(made: FederatedDataset) -> None:
    with identity(1) as run:
        plain = opened(made_config(), made, run).strategy
    server = made_config(contributions__source="server")
    with pytest.raises(ConfigError, match="needs a referee"):
        ComponentStrategy(server, plain.spec, plain.roster, plain.roster.statistics(plain.spec), plain.state)


CLAIMS: list[tuple[str, Any]] = [
    ("share.total", 1e3),
    ("share.square", -1.0),
    ("share.square", float("nan")),
    ("share.rows", 10**6),
    ("share.size", 3.0),
]


@pytest.mark.parametrize(("column", "number"), CLAIMS)
def test_claims_of_a_sampled_share_are_held_against_the_profile(
    made: FederatedDataset, column: str, number: Any
) -> None:
    with identity(1) as run:
        federation = opened(made_config(contributions__estimator="antithetic"), made, run)
        replies = federation.train_replies()
        parts = Parts(replies["birch"])
        assert not any(key.startswith("value.") for key in parts.report)
        parts.report[column] = [number, *parts.report[column][1:]]
        sent = federation.strategy._sent[federation.sites.index("birch")].message
        federation.commit((replies | {"birch": parts.reply_to(sent)}).values())
    verdict = federation.strategy.outcome.verdicts["birch"]  # type: ignore[union-attr]
    assert isinstance(verdict, Accepted)
    assert [note.reason for note in verdict.notes] == ["claim"]
    assert verdict.tally is None
