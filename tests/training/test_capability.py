"""What LCE starts a round from: what each modality lacks on the model as received."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fedmce.config.schema import MceConfig
from fedmce.models import MultimodalNet
from fedmce.objectives import SiteFacts
from fedmce.training import Predictions, predict_subsets, starting_lack, unimodal_values
from tests.oracles.lce_rows import ValuedRow, lack, value
from tests.oracles.mce_rows import rows_in
from tests.oracles.net_rows import fused_logits, proper_subsets, tokens_of
from tests.oracles.worlds import Bools, facts_of, lively, rows_of, small_spec
from tests.training.test_local import SPEC, device_rows

GAP = MceConfig()


def handmade(right: list[bool], alone: Bools | None, codes: list[int]) -> tuple[Predictions, Bools]:
    """Full pairs only; a right prediction puts all on the class, a wrong one on another."""
    target = np.zeros(len(codes), np.int64)
    probability = np.array([[1.0, 0.0] if r else [0.0, 1.0] for r in right])
    heads = None if alone is None else np.where(alone[:, :, None], [1.0, 0.0], [0.0, 1.0])
    pattern = np.array(codes)
    return Predictions(np.arange(len(codes)), pattern, pattern, probability, target, heads), rows_of(codes, 2)


def found(given: tuple[Predictions, Bools], config: MceConfig = GAP, **known: Any) -> dict[str, float]:
    predictions, available = given
    return starting_lack(config, facts_of(small_spec(2), available, **known), predictions, available)


def test_gaps_by_hand() -> None:
    alone = np.array([[True, False], [False, False], [False, True], [False, False]])
    given = handmade([True, True, False, True], alone, [3, 3, 3, 1])
    assert found(given) == {"a": pytest.approx(2 / 4), "b": pytest.approx(2 / 3)}


def test_a_modality_that_the_site_lacks_has_no_gap_and_a_network_without_heads_none_at_all() -> None:
    assert found(handmade([True, True], np.array([[False, False], [True, False]]), [1, 1])) == {"a": 0.5}
    assert found(handmade([True, True], None, [1, 3])) == {}


def test_a_site_without_rows_lacks_nothing_that_is_known() -> None:
    assert found(handmade([], np.zeros((0, 2), dtype=bool), [])) == {}


def test_the_gap_compares_with_everything_that_the_row_holds() -> None:
    """Row 0 is right with a alone and wrong with both: pairs of smaller subsets take no part."""
    row, subset, pattern = np.array([0, 0, 0]), np.array([1, 2, 3]), np.array([3, 3, 3])
    probability = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    heads = np.tile([0.0, 1.0], (1, 2, 1))
    predictions = Predictions(row, subset, pattern, probability, np.zeros(3, np.int64), heads)
    assert found((predictions, rows_of([3], 2))) == {"a": 0.0, "b": 0.0}


def test_a_frozen_reference_stands_in_for_the_heads() -> None:
    given = handmade([True, True], np.zeros((2, 2), dtype=bool), [3, 3])
    assert found(given) == {"a": 1.0, "b": 1.0}
    reference = np.array([[1.0, 0.25], [1.0, 0.75]], np.float32)
    assert found(given, reference=reference) == {"a": 0.0, "b": 0.5}


@pytest.mark.parametrize("kind", ["accuracy", "probability", "soft_dice", "negative_squared_error"])
@pytest.mark.parametrize("capability", ["gap", "shapley", "published", "adaptive"])
def test_every_capability_starts_from_what_the_equations_say_of_the_received_model(capability: str, kind: str) -> None:
    rows, net = device_rows(), lively(MultimodalNet(SPEC)).eval()
    config = MceConfig(capability=capability, value=kind)
    facts = facts_of(SPEC, rows.observed.available)
    mine = starting_lack(config, facts, predict_subsets(net, rows), rows.observed.available)
    batch, _ = rows.batch(np.arange(rows.count))
    valued = [valued_row(net, row, kind) for row in rows_in(batch)]
    for m in SPEC.names:
        assert mine[m] == pytest.approx(lack(config, facts, valued, m), abs=1e-5)  # predictions are float32


def valued_row(net: MultimodalNet, row: Any, kind: str) -> ValuedRow:
    tokens = tokens_of(net, row)

    def worth(logits: torch.Tensor) -> float:
        return value(kind, torch.softmax(logits.detach(), dim=0).tolist(), row.target)

    subsets = [*proper_subsets(tuple(tokens)), tuple(tokens)]
    of_subset = {frozenset(s): worth(fused_logits(net, tokens, s)) for s in subsets}
    return ValuedRow(tuple(tokens), of_subset, {m: worth(net.head[m](t)) for m, t in tokens.items()})


def test_unimodal_values_are_those_of_the_heads_on_their_own_rows() -> None:
    rows, net = device_rows(), lively(MultimodalNet(SPEC))
    predictions = predict_subsets(net, rows)
    values = unimodal_values(predictions, "probability")
    assert values is not None
    assert predictions.alone is not None
    assert values.dtype == np.float32
    for row, target in enumerate(rows.observed.targets):
        np.testing.assert_allclose(values[row], predictions.alone[row, :, target], rtol=1e-6)
    assert unimodal_values(replace(predictions, alone=None), "probability") is None


def test_the_start_is_measured_in_evaluation_mode() -> None:
    """Defect 10 of method.md 2.6: noise of training mode would be taken for a gap."""
    net = lively(MultimodalNet(SPEC))
    net.encoder["a"].append(torch.nn.Dropout(0.9))
    rows = device_rows()
    facts: SiteFacts = facts_of(SPEC, rows.observed.available)
    net.train()
    first, again = (
        starting_lack(MceConfig(value="probability"), facts, predict_subsets(net, rows), rows.observed.available)
        for _ in range(2)
    )
    assert first == again
