"""The same attack on components of our own network, trained as a site trains them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from fedmce.config.privacy import PrivacyConfig
from fedmce.data.av_digits import MODALITIES
from fedmce.models import Batch, MultimodalNet, NetworkSpec, State, component_of, state_of
from fedmce.privacy.classify import first_layers
from fedmce.privacy.floors import is_noised
from fedmce.privacy.noise import noised
from fedmce.privacy.probe.attacks import read_out
from fedmce.privacy.probe.digits import CLASSES, SIDE, digits, mean_image

WIDTH, TYPICAL = 32, 500  # of a token; rows whose mean token anybody could know
FIRST = {"mlp": "encoder.image/1"}  # the layer that sees raw inputs, where it is dense
HEAD = "head.image"
OPTIMISERS = {"sgd": 0.1, "adam": 0.008}  # step sizes; adam is the default of local training


@dataclass(frozen=True)
class OwnLeak:
    """What one local training gives away.

    Attributes:
        rows: share of rows that the encoder's first layer gives away; None where it is no dense layer.
        tokens: share of tokens that the unimodal head gives away: not rows, but what the encoder made of them.
    """

    rows: float | None
    tokens: float


def spec(encoder: str) -> NetworkSpec:
    """A network of images alone, with the parts that the default method has."""
    names = tuple(str(digit) for digit in range(CLASSES))
    return NetworkSpec((MODALITIES[0],), names, (encoder,), WIDTH, WIDTH, "residual", "skip", True, False)


def own_leak(
    encoder: str, optimiser: str, rows: int, steps: int, seed: int, floors: PrivacyConfig, device: str
) -> OwnLeak:
    """Train on some digits, add the noise that the floors ask for, attack.

    Args:
        encoder: name in the registry of encoders.
        optimiser: ``sgd`` (plain steps, the worst case) or ``adam`` (the default).
        rows: of the site.
        steps: of all rows at once.
        seed: of initial values, rows and, here only, of the noise.
        floors: whether noise is added, and how much.
        device: of torch.
    """
    images, labels = digits()
    draw = np.random.default_rng(seed)
    chosen = draw.choice(len(images), rows, replace=False)
    network = spec(encoder)
    net = MultimodalNet(network, seed=seed).to(device)
    batch = _batch(images[chosen], labels[chosen], device)
    with torch.no_grad():
        tokens, typical = (
            net.encode(part)[:, 0].double().cpu().numpy()
            for part in (batch, _batch(images[:TYPICAL], labels[:TYPICAL], device))
        )
    before = state_of(net)
    _train(net, batch, optimiser, steps)
    change = _change(before, state_of(net), network, floors, draw)
    read = None
    if encoder in FIRST:
        weight, bias = (change[f"{FIRST[encoder]}.{part}"] for part in ("weight", "bias"))
        read = float(read_out(weight, bias, images[chosen], mean_image()).mean())
    head = read_out(change[f"{HEAD}/weight"], change[f"{HEAD}/bias"], tokens, typical.mean(axis=0))
    return OwnLeak(read, float(head.mean()))


def _batch(x: npt.NDArray[np.float64], y: npt.NDArray[np.int64], device: str) -> Batch:
    values = torch.from_numpy(x.reshape(-1, 1, SIDE, SIDE).astype(np.float32)).to(device)
    rows = torch.arange(len(y), device=device)
    return Batch(len(y), {"image": values}, {"image": rows}, torch.from_numpy(y).to(device))


def _train(net: MultimodalNet, batch: Batch, optimiser: str, steps: int) -> None:
    lr = OPTIMISERS[optimiser]
    kind = torch.optim.SGD if optimiser == "sgd" else torch.optim.AdamW
    stepper = kind(net.parameters(), lr=lr)
    rows = torch.arange(batch.rows, device=batch.targets.device)
    member = torch.ones(batch.rows, 1, dtype=torch.bool, device=batch.targets.device)
    for _ in range(steps):
        stepper.zero_grad()
        F.cross_entropy(net.fuse(net.encode(batch), rows, member), batch.targets).backward()  # type: ignore[no-untyped-call]
        stepper.step()


def _change(
    before: State, after: State, network: NetworkSpec, floors: PrivacyConfig, draw: np.random.Generator
) -> dict[str, npt.NDArray[np.float64]]:
    """What an observer sees of every array: after minus before, with the noise of the components that get any."""
    kinds = first_layers(network)
    seen = dict(after)
    for component in sorted({component_of(key) for key in before}):
        if is_noised(kinds[component], floors):
            own = [key for key in before if component_of(key) == component]
            part = noised({k: before[k] for k in own}, {k: after[k] for k in own}, floors, lambda: draw)
            seen |= part.state
    return {key: seen[key].astype(np.float64) - before[key] for key in before}
