"""Batch normalisation in encoders: what it measures, single samples, and what of it travels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from client.app import app as client_app
from client.keeping import PRIVATE
from fedmce.data import FederatedDataset
from fedmce.flower_compat import ArrayRecord, arrays_of, identity
from fedmce.models import MultimodalNet, component_of, load_state, private_keys, state_of
from fedmce.models.encoders import ENCODERS
from fedmce.models.normalisation import ObservedBatchNorm, normalised
from tests.oracles.worlds import make_batch, rows_of, small_spec
from tests.server.made import LACKS, made_config, open_federation

SHAPES = {"conv_image": (1, 8, 8), "conv_spectrogram": (1, 8, 12), "conv_series": (2, 32), "mlp": (5,)}
SPEC = replace(small_spec(2), normalisation="batch")


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_every_encoder_normalises_its_hidden_layers_only_if_asked(kind: str) -> None:
    plain, batch = (ENCODERS[kind](SHAPES[kind], 4, n) for n in ("none", "batch"))
    assert not [m for m in plain.modules() if isinstance(m, ObservedBatchNorm)]
    assert len([m for m in batch.modules() if isinstance(m, ObservedBatchNorm)]) == (1 if kind == "mlp" else 2)
    assert batch(torch.randn(3, *SHAPES[kind])).shape == (3, 4)


def test_names_without_normalisation_are_those_of_saved_models() -> None:
    assert set(ENCODERS["conv_image"]((1, 8, 8), 4, "none").state_dict()) == {
        f"{layer}.{part}" for layer in ("conv1", "conv2", "out") for part in ("weight", "bias")
    }


@pytest.mark.parametrize("places", [(), (5,), (3, 4)])
def test_it_is_torchs_own_where_a_batch_has_a_variance(places: tuple[int, ...]) -> None:
    x = torch.randn(6, 3, *places) * 3 + 1
    theirs = {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d}[len(places)](3)
    (ours,) = normalised("batch", 3)
    for _ in range(2):
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_a_single_sample_is_normalised_by_the_running_statistics_and_leaves_them() -> None:
    """torch refuses such a batch; a rare modality often comes in one."""
    (layer,) = normalised("batch", 3)
    layer(torch.randn(8, 3) * 2 + 5)
    before = {k: v.clone() for k, v in layer.state_dict().items()}
    one = torch.randn(1, 3, requires_grad=True)
    found = layer(one)
    torch.testing.assert_close(found, layer.eval()(one))
    assert all(torch.equal(v, before[k]) for k, v in layer.state_dict().items())
    found.sum().backward()
    assert one.grad is not None
    assert torch.isfinite(one.grad).all()


@pytest.mark.parametrize("codes", [[3, 1, 1], [3], [1, 2]])
def test_a_network_trains_on_batches_with_one_sample_of_a_modality(codes: list[int]) -> None:
    net, available = MultimodalNet(SPEC).train(), rows_of(codes, 2)
    batch = make_batch(SPEC, available)
    token = net.encode(batch)
    assert torch.isfinite(token).all()
    token.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.encoder.parameters() if p.grad is not None)


def test_statistics_are_of_samples_that_are_there() -> None:
    """Rows that lack a modality do not count: their zeros would tell the missing rate."""
    net = MultimodalNet(SPEC).train()
    full, most_absent = rows_of([3, 3, 3, 3], 2), rows_of([3, 3, 3, 3, 1, 1, 1, 1], 2)
    found = []
    for available in (full, most_absent):
        load_state(net, state_of(MultimodalNet(SPEC)))
        net.encode(make_batch(SPEC, available))
        found.append(state_of(net)["encoder.b/2.running_mean"])
    assert found[0].any()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_the_state_is_float32_with_running_statistics_and_loads_again() -> None:
    net, twin = MultimodalNet(SPEC).train(), MultimodalNet(SPEC)
    net.encode(make_batch(SPEC, rows_of([3, 3, 1], 2)))
    state = state_of(net)
    assert all(value.dtype == np.float32 for value in state.values())
    assert {key.rpartition(".")[2] for key in state} >= {"running_mean", "running_var", "num_batches_tracked"}
    load_state(twin, state)
    again = state_of(twin)
    assert all(np.array_equal(again[key], state[key]) for key in state)


def test_the_kind_normalisation_is_found_by_module_not_by_name() -> None:
    """An index in a Sequential says nothing; a linear layer's weight has the same name as a scale."""
    parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected = {f"encoder.{m}/2.{part}" for m in ("a", "b") for part in parts}
    assert private_keys(MultimodalNet(SPEC), ["normalisation"]) == expected


def test_fedbn_keeps_normalisation_at_the_site_and_averages_the_rest(made: FederatedDataset) -> None:
    with identity(1) as run:
        federation = open_federation(made_config("fedbn"), made, client_app, run)
        private = private_keys(MultimodalNet(federation.strategy.spec), ["normalisation"])
        replies = federation.train_replies()
        model = federation.commit(replies.values()).model
        kept = {}
        for site, reply in replies.items():
            sent = next(s for s in federation.strategy._sent if s.expected.site == site)
            for message in (sent.message, reply):
                keys = {k for r in message.content.values() if isinstance(r, ArrayRecord) for k in r}
                assert not keys & private
            node = federation.strategy.roster.profiles[site].node_id
            kept[site] = arrays_of(federation.grid._contexts[node].state.array_records[PRIVATE])
            assert LACKS.get(site) not in {component_of(key).partition(".")[2] for key in kept[site]}
        start = federation.initial.model
    assert private
    assert all(np.array_equal(model[key], start[key]) for key in private)
    mean = "encoder.blood/2.running_mean"
    assert len({kept[site][mean].tobytes() for site in kept}) == 4
    assert not np.array_equal(model["encoder.blood/1.weight"], start["encoder.blood/1.weight"])


def test_shared_normalisation_is_averaged_with_its_statistics(made: FederatedDataset) -> None:
    with identity(1) as run:
        federation = open_federation(made_config("fedavg_batchnorm"), made, client_app, run)
        replies = federation.train_replies()
        model = federation.commit(replies.values()).model
        weights = federation.strategy.outcome.weights["encoder.blood"]  # type: ignore[union-attr]
    for key in ("encoder.blood/2.running_mean", "encoder.blood/2.running_var", "encoder.blood/2.weight"):
        own = {site: arrays_of(reply.content["update"])[key].astype("f8") for site, reply in replies.items()}
        np.testing.assert_allclose(model[key], sum(weights[site] * own[site] for site in own), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model__normalisation": "none"}, "has nothing to keep"),
        ({"aggregation__finetune_epochs": 1}, "needed model.normalisation=none"),
    ],
)
def test_what_makes_no_sense_with_it_is_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made_config("fedbn", **change)
    with pytest.raises(ValueError, match=r"normalisation=batch needs model\.absent=skip"):
        made_config("fedavg_zero", model__normalisation="batch")
