"""A training step never waits for the device: nothing in it reads a tensor back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fedmce.config.schema import MceConfig, ModalityDropoutConfig, TaskObjectiveConfig, TrainingConfig
from fedmce.missingness import SiteMask, observe
from fedmce.models import MultimodalNet
from fedmce.objectives import OBJECTIVES
from fedmce.training import DeviceRows, make_optimiser
from tests.oracles.worlds import facts_of, make_site, plain_statistics, rows_of, small_spec

CODES = [7, 1, 6, 4, 2, 5, 3, 7, 7, 3, 1]
READS = ("item", "__bool__", "__float__", "__int__", "__index__", "tolist", "numpy", "cpu", "nonzero", "__array__")
OPERATIONS = (
    "_local_scalar_dense",
    "nonzero",
    "masked_select",
    "_unique",
    "unique_dim",
    "bincount",
    "equal",
    "is_nonzero",
    "repeat_interleave.Tensor",
)
CHOICES: dict[str, Any] = {
    "task": TaskObjectiveConfig(),
    "dropout": ModalityDropoutConfig(),
    "default": MceConfig(),
    **{c: MceConfig(capability=c) for c in ("shapley", "adaptive", "published", "off")},
    **{i: MceConfig(incentive=i) for i in ("step", "rows")},
    **{v: MceConfig(value=v) for v in ("probability", "soft_dice", "negative_squared_error")},
    "through": MceConfig(train_through=0.5, distil_weight=0.5, subset_scale="mean"),
    "fused": MceConfig(completion_target="fused_token", completion_distance="cosine", detach_target=False),
    "sampled": MceConfig(subsets="sampled", subset_budget=2),
    "frozen": MceConfig(reference="frozen"),
    "as_published": MceConfig.model_validate(
        {
            "published": {"leak": True, "lost_terms": True, "zeros_as_data": True, "diluted": True},
            "rarity": "raw",
            "capability": "published",
            "normalise": False,
            "weight_cap": None,
        }
    ),
}


class Site:
    """A small site on a device, ready to take steps."""

    def __init__(self, config: Any, device: str, optimiser: str) -> None:
        fused = getattr(config, "completion_target", "token")
        spec, available = small_spec(3, completion_target=fused), rows_of(CODES, 3)
        site = make_site("x", np.ones((len(CODES), 3), dtype=bool))
        seen = observe(site, SiteMask(site.sample_ids, available), spec.modalities, "train")
        self.rows = DeviceRows(seen, plain_statistics(spec), spec.names, torch.device(device))
        self.net = MultimodalNet(spec, seed=1).to(device)
        reference = np.ones((len(CODES), 3), np.float32) if getattr(config, "reference", "") == "frozen" else None
        facts = facts_of(spec, available, reference=reference)
        self.objective = OBJECTIVES[config.name](config, facts, np.random.default_rng(0))
        self.optimiser = make_optimiser(self.net, TrainingConfig(optimiser=optimiser), 0.01, ("a", "b"))

    def step(self, chosen: list[int]) -> torch.Tensor:
        batch, available = self.rows.batch(np.array(chosen))
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.objective(self.net, batch, available)
        loss.total.backward()
        self.optimiser.step()
        return loss.total.detach()


class Waits(TorchDispatchMode):
    """Counts operations whose result must reach the host before the program can go on."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = str(func).removeprefix("aten.")
        masks = name.startswith("index") and any(
            isinstance(i, torch.Tensor) and i.dtype in (torch.bool, torch.uint8)
            for i in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ())
        )
        if masks or name.startswith(OPERATIONS):
            self.found.append(name)
        return func(*args, **kwargs or {})


@contextmanager
def counted(patch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of all reads of a tensor within the block."""
    mode = Waits()
    with patch.context() as inside:
        for name in READS:
            original = getattr(torch.Tensor, name)

            def read(self: torch.Tensor, *args: Any, _of: Any = original, _name: str = name, **kw: Any) -> Any:
                mode.found.append(_name)
                return _of(self, *args, **kw)

            inside.setattr(torch.Tensor, name, read)
        with mode:
            yield mode.found


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
@pytest.mark.parametrize("config", CHOICES.values(), ids=CHOICES)
def test_no_step_of_any_choice_reads_a_tensor_back(
    config: Any, optimiser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Site(config, "cpu", optimiser)
    with counted(monkeypatch) as found:
        for chosen in ([0, 1, 2, 3, 4], [1, 3], [5, 6, 7, 8, 9, 10]):
            site.step(chosen)
    assert found == []


@pytest.mark.parametrize("kind", ["probability", "soft_dice", "negative_squared_error"])
def test_what_is_the_same_in_every_step_is_read_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value of nothing, which Shapley values start from, is worked out on the host."""
    site = Site(MceConfig(capability="shapley", value=kind), "cpu", "adam")
    site.step([0, 1, 2])
    with counted(monkeypatch) as found:
        site.step([3, 4, 5])
    assert found == []


@pytest.mark.parametrize(
    "read",
    [
        lambda loss: loss.item(),
        lambda loss: float(loss),
        lambda loss: bool(loss > 0),
        lambda loss: loss.reshape(1).tolist(),
        lambda loss: loss.numpy(),
        lambda loss: torch.nonzero(loss.reshape(1)),
        lambda loss: loss.reshape(1)[loss.reshape(1) > 0],
        lambda loss: torch.masked_select(loss, loss > 0),
        lambda loss: torch.equal(loss, loss),
    ],
    ids=["item", "float", "bool", "tolist", "numpy", "nonzero", "mask", "masked_select", "equal"],
)
def test_a_read_would_be_counted(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(MceConfig(), "cpu", "adam")
    with counted(monkeypatch) as found:
        read(site.step([0, 1, 2]))
    assert found


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA's synchronisation check needs a CUDA device")
@pytest.mark.parametrize("config", CHOICES.values(), ids=CHOICES)
def test_cuda_sees_no_step_of_any_choice_synchronise(config: Any) -> None:
    site = Site(config, "cuda", "adam")
    site.step([0, 1, 2, 3, 4])  # first use of a kernel may load it
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        site.step([1, 3])
        site.step([5, 6, 7, 8, 9, 10])
    finally:
        torch.cuda.set_sync_debug_mode("default")
