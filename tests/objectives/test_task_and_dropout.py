"""The two plain objectives, and the registry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmce.config.describe import members
from fedmce.config.schema import ModalityDropoutConfig, RunConfig, TaskObjectiveConfig
from fedmce.models import MultimodalNet
from fedmce.objectives import OBJECTIVES
from fedmce.objectives.modality_dropout import dropped
from fedmce.objectives.objective import objective
from tests.oracles.mce_rows import fused_logits, negative_log_likelihood, rows_in, tokens_of
from tests.oracles.worlds import Bools, facts_of, lively, make_batch, patterns, small_spec


@pytest.mark.parametrize("fusion", ["additive", "concat", "late", "mean", "residual", "transformer"])
@given(available=patterns(3))
@settings(max_examples=5)
def test_the_task_objective_is_the_mean_cross_entropy_of_the_fused_prediction(fusion: str, available: Bools) -> None:
    net = lively(MultimodalNet(small_spec(3, fusion)))
    batch = make_batch(net.spec, available)
    rule = OBJECTIVES["task"](TaskObjectiveConfig(), facts_of(net.spec, available), np.random.default_rng(0))
    by_row = []
    for row in rows_in(batch):
        tokens = tokens_of(net, row)
        by_row.append(negative_log_likelihood(fused_logits(net, tokens, tuple(tokens)), row.target))
    assert float(rule(net, batch, available).total.detach()) == pytest.approx(
        float(torch.stack(by_row).mean().detach()), abs=1e-10
    )


@given(available=patterns(4), rate=st.floats(0, 0.95), seed=st.integers(0, 999))
def test_dropout_leaves_every_row_something_that_it_held(available: Bools, rate: float, seed: int) -> None:
    kept = dropped(available, rate, np.random.default_rng(seed))
    assert kept.any(axis=1).all()
    assert not (kept & ~available).any()


def test_dropout_at_rate_zero_hides_nothing() -> None:
    available = np.eye(4, dtype=bool) | np.array([True, False, True, False])
    assert (dropped(available, 0.0, np.random.default_rng(0)) == available).all()


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.6])
def test_dropout_hides_at_its_rate_given_that_something_stays(rate: float) -> None:
    rows = 20_000
    kept = dropped(np.ones((rows, 3), dtype=bool), rate, np.random.default_rng(1))
    share = (rate - rate**3) / (1 - rate**3)  # P(hidden | not all three hidden)
    assert np.abs((~kept).mean(axis=0) - share).max() < 4 * np.sqrt(share * (1 - share) / rows)


def test_modality_dropout_is_the_task_loss_on_what_it_kept() -> None:
    net = lively(MultimodalNet(small_spec(3)))
    available = np.ones((6, 3), dtype=bool)
    batch, facts = make_batch(net.spec, available), facts_of(net.spec, available)
    rule = OBJECTIVES["modality_dropout"](ModalityDropoutConfig(rate=0.5), facts, np.random.default_rng(4))
    kept = dropped(available, 0.5, np.random.default_rng(4))
    assert not kept.all()
    by_row = [
        negative_log_likelihood(
            fused_logits(net, tokens_of(net, row), [n for n, k in zip(net.spec.names, keep, strict=True) if k]),
            row.target,
        )
        for row, keep in zip(rows_in(batch), kept, strict=True)
    ]
    assert float(rule(net, batch, available).total.detach()) == pytest.approx(
        float(torch.stack(by_row).mean().detach())
    )


def test_every_objective_of_the_schema_is_registered_and_no_other() -> None:
    assert set(OBJECTIVES) == set(members(RunConfig.model_fields["objective"].annotation))


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="'task' is registered twice"):
        objective("task")(OBJECTIVES["task"])
