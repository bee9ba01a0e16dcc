"""MFCPL-like prototypes: means by rows, what is unknown, the losses by loops, and no label in a filled token."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from fedmce.models import Batch, MultimodalNet
from fedmce.objectives import SHARED
from fedmce.objectives.objective import Arrays
from fedmce.objectives.shared import Said
from tests.objectives.baselines import SECTIONS, SITE, facts_for, federated, gradients, refusal, rule_for
from tests.oracles.mce_rows import fused_logits, negative_log_likelihood, rows_in, tokens_of
from tests.oracles.worlds import Bools, lively, make_batch, rows_of, small_spec

RULE, CONFIG = SHARED["prototypes"], SECTIONS["prototypes"]()
SPEC = small_spec(2)
OFF = {"align_weight": 0.0, "contrast_weight": 0.0, "fill_weight": 0.0}


def blank() -> Arrays:
    return RULE.initial(CONFIG, SPEC, {})


def said(mean: float, rows_of_class_0: int, rows: int) -> Said:
    """A site whose tokens of modality ``a`` and class 0 are all ``mean``; its other rows are of class 1 at 8."""
    prototype = np.zeros((3, 4), "f4")
    prototype[0], prototype[1] = mean, 8.0
    share = np.array([rows_of_class_0, rows - rows_of_class_0, 0], "f4") / rows
    return Said({"prototype/a": prototype, "share/a": share}, {}, {"encoder.a": rows})


def known(seed: int = 0, classes: tuple[int, ...] = (0, 1)) -> Arrays:
    """Prototypes of all modalities for some of the classes, in a world of three."""
    draw = np.random.default_rng(seed)
    spec = small_spec(3)
    found: Arrays = {}
    for m in spec.names:
        found[f"prototype/{m}"] = draw.normal(size=(3, spec.width)).astype(np.float32)
        found[f"known/{m}"] = np.isin(np.arange(3), classes).astype(np.float32)
    return found


def rule_with(net: MultimodalNet, shared: Arrays, **choices: Any) -> Any:
    return rule_for(net, "prototypes", facts_for(net, "prototypes", shared=shared), **(OFF | choices))


def net_of() -> MultimodalNet:
    return lively(MultimodalNet(small_spec(3)))


def test_prototypes_are_means_by_rows() -> None:
    """n = (3, 1), P = (1, 5): 2.0."""
    merged = RULE.merge(CONFIG, SPEC, blank(), {"s": said(1.0, 3, 10), "t": said(5.0, 1, 4)}, {})
    np.testing.assert_allclose(merged["prototype/a"][0], 2.0, rtol=1e-6)
    assert merged["known/a"].tolist() == [1.0, 1.0, 0.0]


def test_what_nobody_has_stays_as_it_was_and_is_unknown_until_somebody_has_it() -> None:
    first = RULE.merge(CONFIG, SPEC, blank(), {"s": said(1.0, 10, 10)}, {})
    assert first["known/a"].tolist() == [1.0, 0.0, 0.0]
    assert not first["prototype/a"][1:].any()
    assert not first["known/b"].any()
    second = RULE.merge(CONFIG, SPEC, first, {"s": said(3.0, 0, 10)}, {})
    assert second["prototype/a"][0].tolist() == [1.0] * 4
    assert second["prototype/a"][1].tolist() == [8.0] * 4
    assert second["known/a"].tolist() == [1.0, 1.0, 0.0]
    assert all(np.isfinite(value).all() for value in second.values())


def test_no_site_can_claim_more_rows_than_it_has() -> None:
    loud = said(5.0, 1, 4)
    boast = replace(loud, arrays=loud.arrays | {"share/a": np.array([1e4, -3.0, 0], "f4")})
    merged = RULE.merge(CONFIG, SPEC, blank(), {"s": said(1.0, 4, 10), "t": boast}, {})
    np.testing.assert_allclose(merged["prototype/a"][0], 3.0, rtol=1e-6)
    np.testing.assert_allclose(merged["prototype/a"][1], 8.0, rtol=1e-6)


def test_every_site_gets_the_prototypes_of_all_modalities() -> None:
    assert RULE.down(blank(), ("a",)).keys() == blank().keys()


def test_a_site_tells_the_mean_token_and_the_share_of_each_class() -> None:
    net, site = net_of(), rows_of([7, 3, 5, 1, 2, 4, 6, 7, 7], 3)
    cut: list[tuple[Batch, Bools]] = [(make_batch(net.spec, site[at : at + 4]), site[at : at + 4]) for at in (0, 4, 8)]
    with torch.no_grad():
        told = rule_with(net, known()).told(net, cut)
    tokens: dict[tuple[str, int], list[np.ndarray]] = {}
    for batch, _ in cut:
        for row in rows_in(batch):
            for m, token in tokens_of(net, row).items():
                tokens.setdefault((m, row.target), []).append(token.detach().numpy())
    for column, m in enumerate(net.spec.names):
        for c in range(3):
            mine = tokens.get((m, c), [])
            assert told[f"share/{m}"][c] == pytest.approx(len(mine) / site[:, column].sum())
            expected = np.mean(mine, axis=0) if mine else np.zeros(net.spec.width)
            np.testing.assert_allclose(told[f"prototype/{m}"][c], expected, rtol=1e-5, atol=1e-6)


def test_alignment_is_the_squared_distance_to_the_prototype_of_the_class() -> None:
    net, shared = net_of(), known()
    loss = rule_with(net, shared, align_weight=0.3)(net, batch := make_batch(net.spec, SITE), SITE)
    total, rows = 0.0, rows_in(batch)
    for row in rows:
        for m, token in tokens_of(net, row).items():
            if shared[f"known/{m}"][row.target]:  # class 2 was never seen: it is absent from the loss
                apart = token.detach().numpy() - shared[f"prototype/{m}"][row.target]
                total += float((apart**2).sum())
    assert any(row.target == 2 for row in rows)
    assert float(loss.parts["align"]) == pytest.approx(total / len(rows), rel=1e-6)
    assert float(loss.total.detach()) == pytest.approx(float(loss.parts["task"] + 0.3 * loss.parts["align"]))


def test_the_contrast_compares_every_token_with_the_known_prototypes_of_every_modality() -> None:
    net, shared = net_of(), known()
    loss = rule_with(net, shared, contrast_weight=1.0)(net, batch := make_batch(net.spec, SITE), SITE)
    bank = [(c, shared[f"prototype/{m}"][c]) for m in net.spec.names for c in range(3) if shared[f"known/{m}"][c]]
    bank = [(c, p / np.linalg.norm(p)) for c, p in bank]
    found = []
    for row in rows_in(batch):
        for token in tokens_of(net, row).values():
            z = token.detach().numpy() / max(float(token.detach().norm()), 1e-12)
            share = [math.exp(float(z @ p) / 0.1) for _, p in bank]
            mine = [math.log(s / sum(share)) for s, (c, _) in zip(share, bank, strict=True) if c == row.target]
            if mine:
                found.append(-np.mean(mine))
    assert float(loss.parts["contrast"]) == pytest.approx(np.mean(found), rel=1e-5)


@pytest.mark.parametrize("site", [SITE, rows_of([3, 1, 2, 1], 3)], ids=["all", "no row holds c"])
def test_absent_tokens_are_filled_with_the_prototype_of_the_predicted_class(site: Bools) -> None:
    """A modality that no row of the batch holds is not filled: its projection and head are not to be touched."""
    net, shared = net_of(), known(classes=(0, 1, 2))
    loss = rule_with(net, shared, fill_weight=1.0)(net, batch := make_batch(net.spec, site), site)
    found = []
    for row in rows_in(batch):
        tokens = {m: token.detach() for m, token in tokens_of(net, row).items()}
        guess = int(fused_logits(net, tokens, tuple(tokens)).argmax())
        lacks = [m for m in batch.values if m not in tokens]
        if lacks:
            whole = tokens | {m: torch.tensor(shared[f"prototype/{m}"][guess]).double() for m in lacks}
            logits = fused_logits(net, whole, tuple(whole)).detach()
            found.append(float(negative_log_likelihood(logits, row.target)))
    assert 0 < len(found) < batch.rows
    assert float(loss.parts["fill"]) == pytest.approx(np.mean(found), rel=1e-6)


def test_the_true_class_is_not_in_a_filled_token() -> None:
    """With other labels the filled loss is that of the same predictions."""
    net, shared, site = net_of(), known(classes=(0, 1, 2)), rows_of([1, 1, 2, 4], 3)
    batch = make_batch(net.spec, np.vstack([site, rows_of([7], 3)]))
    available = np.vstack([site, rows_of([7], 3)])
    by_label = []
    for label in range(3):
        given = replace(batch, targets=torch.full((5,), label))
        by_label.append(float(rule_with(net, shared, fill_weight=1.0)(net, given, available).parts["fill"]))
    # Cross entropies of one distribution per row: with the true class in the token each of them would be another.
    rows = [tokens_of(net, row) for row in rows_in(batch)[:4]]
    expected = []
    for label in range(3):
        losses = []
        for tokens in rows:
            guess = int(fused_logits(net, tokens, tuple(tokens)).argmax())
            whole = {m: torch.tensor(shared[f"prototype/{m}"][guess]).double() for m in net.spec.names} | tokens
            losses.append(float(negative_log_likelihood(fused_logits(net, whole, net.spec.names).detach(), label)))
        expected.append(np.mean(losses))
    np.testing.assert_allclose(by_label, expected, rtol=1e-6)


def test_a_modality_that_no_row_of_the_batch_holds_is_not_filled_and_not_touched() -> None:
    net, available = net_of(), rows_of([3, 1, 2], 3)
    rule = rule_with(net, known(), fill_weight=1.0, align_weight=1.0, contrast_weight=1.0)
    found = gradients(net, rule, make_batch(net.spec, available), available)
    assert all(found[key] is None for key in found if ".c." in key)


@pytest.mark.parametrize("name", ["align_weight", "contrast_weight", "fill_weight"])
def test_without_any_prototype_every_term_is_left_out(name: str) -> None:
    net = net_of()
    loss = rule_with(net, known(classes=()), **{name: 1.0})(net, make_batch(net.spec, SITE), SITE)
    assert set(loss.parts) == {"task"}


def test_after_a_round_the_server_knows_the_classes_of_each_modality(monkeypatch: pytest.MonkeyPatch) -> None:
    states = federated(monkeypatch, "mfcpl_like", 2)
    assert not any(value.any() for value in states[0].shared.values())
    for m in ("image", "sound", "blood"):
        assert states[1].shared[f"known/{m}"].tolist() == [1.0, 1.0, 1.0]
        assert states[1].shared[f"prototype/{m}"].any()
        assert not np.array_equal(states[1].shared[f"prototype/{m}"], states[2].shared[f"prototype/{m}"])


def test_prototypes_of_private_encoders_are_refused() -> None:
    assert "objective=prototypes compares tokens of all sites" in refusal(
        "method=mfcpl_like", "aggregation.private=[encoder]"
    )
