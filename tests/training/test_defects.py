"""Defects of the public code around training (method.md 2.6, items 10, 13, 15): gone here, and shown by a twin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fedmce.config.schema import TaskObjectiveConfig, TrainingConfig
from fedmce.missingness import SiteMask, observe
from fedmce.models import Batch, MultimodalNet
from fedmce.models.encoders import ENCODERS
from fedmce.objectives import OBJECTIVES
from fedmce.objectives.objective import Even
from fedmce.training import DeviceRows, predict_subsets, train_locally
from tests.oracles.worlds import Bools, facts_of, lively, make_batch, make_site, plain_statistics, rows_of, small_spec
from tests.training.test_local import SPEC, device_rows

SHAPES = {"mlp": (3,), "conv_series": (1, 32), "conv_image": (1, 8, 8), "conv_spectrogram": (1, 16, 16)}


def noisy(net: MultimodalNet) -> MultimodalNet:
    """The network with dropout at the end of each encoder."""
    for encoder in net.encoder.values():
        encoder.append(torch.nn.Dropout(0.5))
    return net


def test_defect_10_predictions_for_contributions_are_made_without_the_noise_of_training() -> None:
    net, rows = noisy(lively(MultimodalNet(SPEC))).train(), device_rows()
    first, again = predict_subsets(net, rows), predict_subsets(net, rows)
    assert first.probability.tobytes() == again.probability.tobytes()
    batch, available = rows.batch(np.arange(rows.count))
    member, places = torch.from_numpy(available), torch.arange(rows.count)
    net.train()
    broken = [net.fuse(net.encode(batch), places, member).detach() for _ in range(2)]
    assert not torch.equal(*broken)


@pytest.mark.parametrize("kind", sorted(ENCODERS))
def test_defect_10_no_encoder_behaves_otherwise_in_training(kind: str) -> None:
    """So the values that a training step takes from its own predictions are those of evaluation mode."""
    shape = SHAPES[kind]
    encoder, sample = ENCODERS[kind](shape, 4), torch.randn(5, *shape)
    assert torch.equal(encoder.train()(sample), encoder.eval()(sample))


@pytest.mark.parametrize("fusion", ["additive", "concat", "late", "mean", "residual", "transformer"])
def test_defect_10_no_fusion_behaves_otherwise_in_training(fusion: str) -> None:
    net = lively(MultimodalNet(small_spec(3, fusion)))
    batch, available = make_batch(net.spec, rows_of([7, 3, 4], 3)), rows_of([7, 3, 4], 3)

    def predicted() -> torch.Tensor:
        return net.fuse(net.encode(batch), torch.arange(3), torch.from_numpy(available))

    net.train()
    training = predicted()
    net.eval()
    torch.testing.assert_close(training, predicted())


def test_local_training_is_in_training_mode_after_an_evaluation() -> None:
    net, rows, modes = noisy(lively(MultimodalNet(SPEC))), device_rows(), []
    predict_subsets(net, rows)
    net.encoder["a"].register_forward_hook(lambda module, *_: modes.append(module.training))
    facts = facts_of(SPEC, rows.observed.available)
    rule = OBJECTIVES["task"](TaskObjectiveConfig(), facts, np.random.default_rng(0))
    train_locally(net, rows, rule, TrainingConfig(), lr=0.01, order=np.random.default_rng(0))
    assert modes
    assert all(modes)


@torch.no_grad()
def answers(net: MultimodalNet, batch: Batch, available: Bools, ignore_mask: bool) -> torch.Tensor:
    """Predictions from a alone; the defect is to pass what the mask says to leave out."""
    member = torch.from_numpy(available) & torch.tensor([True, ignore_mask, ignore_mask])
    return net.fuse(net.encode(batch), torch.arange(batch.rows), member)


def test_defect_13_scores_of_one_modality_never_read_another() -> None:
    site = make_site("x", np.ones((6, 3), dtype=bool))
    net, found, broken = lively(MultimodalNet(SPEC)), [], []
    for junk in (None, np.nan):
        if junk is not None:
            site.features["b"][:], site.features["c"][:] = junk, junk
        seen = observe(site, SiteMask(site.sample_ids, site.available), SPEC.modalities, "train")
        rows = DeviceRows(seen, plain_statistics(SPEC), SPEC.names, torch.device("cpu"))
        predictions = predict_subsets(net, rows)
        found.append(predictions.probability[predictions.subset == 1].tobytes())
        broken.append(answers(net, *rows.batch(np.arange(6)), ignore_mask=True))
        assert torch.isfinite(answers(net, *rows.batch(np.arange(6)), ignore_mask=False)).all()
    assert found[0] == found[1]
    assert not torch.equal(*broken)


def seen_over(epochs: int, bind: str, mask: Bools) -> Bools:
    """What local training saw of each row over many epochs."""
    site = make_site("x", np.ones(mask.shape, dtype=bool))
    shown = mask if bind == "row" else site.available
    rows = DeviceRows(
        observe(site, SiteMask(site.sample_ids, shown), SPEC.modalities, "train"),
        plain_statistics(SPEC),
        SPEC.names,
        torch.device("cpu"),
    )
    seen = np.zeros(mask.shape, dtype=bool)

    class Watching(Even):
        """The task objective, and a note of what each row showed."""

        def __init__(self) -> None:
            facts = facts_of(SPEC, mask)
            self.rule = OBJECTIVES["task"](TaskObjectiveConfig(), facts, np.random.default_rng(0))

        def __call__(self, net: MultimodalNet, batch: Batch, available: Bools) -> Any:
            assert batch.index is not None
            seen[batch.index.numpy()] |= available
            for column, name in enumerate(SPEC.names):
                # What a batch may not show is not in it either.
                assert (
                    batch.position.get(name, torch.tensor([])).tolist() == np.flatnonzero(available[:, column]).tolist()
                )
            return self.rule(net, batch, available)

    config = TrainingConfig(local_epochs=epochs, batch_size=5)
    train_locally(
        MultimodalNet(SPEC),
        rows,
        Watching(),
        config,
        lr=0.001,
        order=np.random.default_rng(1),
        position_mask=mask if bind == "position" else None,
    )
    return seen


MASK = rows_of([1, 2, 4, 1, 6, 3, 5, 1, 2, 4, 1, 7], 3)


def test_defect_15_over_any_number_of_epochs_a_row_shows_what_its_mask_shows_and_no_more() -> None:
    assert (seen_over(60, "row", MASK) == MASK).all()


def test_defect_15_masks_of_positions_show_nearly_every_row_complete_sooner_or_later() -> None:
    assert seen_over(60, "position", MASK).mean() > 0.99
    one_epoch = seen_over(1, "position", MASK)
    assert (np.sort(one_epoch.sum(axis=1)) == np.sort(MASK.sum(axis=1))).all()


def test_a_mask_of_positions_never_leaves_a_row_with_nothing() -> None:
    rows = device_rows([1, 2, 7])
    batch, available = rows.batch(np.arange(3), rows_of([2, 2, 4], 3))
    assert available.tolist() == rows_of([1, 2, 4], 3).tolist()
    assert {name: position.tolist() for name, position in batch.position.items()} == {"a": [0], "b": [1], "c": [2]}


@pytest.mark.parametrize("masked", [False, True])
def test_a_batch_holds_the_samples_of_its_own_rows(masked: bool) -> None:
    rows, whole = device_rows([7, 1, 6, 7]), device_rows([7, 1, 6, 7]).batch(np.arange(4))[0]
    batch, available = rows.batch(np.array([3, 0, 2]), rows_of([3, 6, 7], 3) if masked else None)
    assert available.tolist() == rows_of([3, 6, 6] if masked else [7, 7, 6], 3).tolist()
    assert batch.index is not None
    for name, places in batch.position.items():
        for sample, place in zip(batch.values[name], places, strict=True):
            source = whole.position[name].tolist().index(int(batch.index[place]))
            assert torch.equal(sample, whole.values[name][source])
    assert torch.equal(batch.targets, whole.targets[[3, 0, 2]])
