"""Tables of the probe: read-out by rows, membership by rows, what noise changes, and our own components."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fedmce.config.privacy import PrivacyConfig
from fedmce.privacy.noise import noised
from fedmce.privacy.probe import dense
from fedmce.privacy.probe.attacks import membership, read_out
from fedmce.privacy.probe.digits import digits, mean_image
from fedmce.privacy.probe.own import own_leak

SCHEMA = "fedmce.leak_probe/1"
LR, STEPS = 0.1, 10
PRETRAINED, PRETRAINING, LOCAL = 700, 300, 40  # of membership: rows and steps before, steps at the site
OTHERS = slice(1000, 1500)
SITES, SITE_ROWS, ROUNDS = 8, 32, 20  # of the accuracy under noise
FLOORS = {"min_rows": 32, "min_rows_dense": 128, "site_noise": "dense"}  # as in configs/privacy/floors.yaml
Say = Callable[[str], None]


@dataclass(frozen=True)
class Probe:
    """What to measure.

    Attributes:
        rows: rows of a site.
        noise: standard deviations of site noise.
        seeds: repetitions of the read-out; membership takes twice as many.
        floors: clip, and the floors that are judged.
        device: of torch, for our own components.
        own: also measure our own components.
    """

    rows: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    noise: tuple[float, ...] = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1)
    seeds: int = 10
    floors: PrivacyConfig = field(default_factory=lambda: PrivacyConfig.model_validate(FLOORS))
    device: str = "cpu"
    own: bool = True


@dataclass(frozen=True)
class Cell:
    """One figure.

    Attributes:
        table: ``read_out``, ``some_row``, ``membership``, ``accuracy``, ``own_rows`` or ``own_tokens``.
        what: network, or encoder and optimiser.
        rows: of the site.
        noise: standard deviation per weight.
        value: mean over seeds.
        spread: standard deviation over seeds.
    """

    table: str
    what: str
    rows: int
    noise: float
    value: float
    spread: float


@dataclass(frozen=True)
class ProbeResult:
    """All figures of a probe."""

    probe: Probe
    cells: tuple[Cell, ...] = field(default_factory=tuple)

    def at(self, table: str, rows: int, noise: float, what: str = "dense") -> Cell | None:
        """The figure of one setting; None if it was not measured."""
        wanted = (table, what, rows, noise)
        return next((c for c in self.cells if (c.table, c.what, c.rows, c.noise) == wanted), None)

    def to_json(self) -> dict[str, Any]:
        """For a file."""
        floors = self.probe.floors.model_dump(mode="json")
        told = {"rows": list(self.probe.rows), "noise": list(self.probe.noise), "seeds": self.probe.seeds}
        cells = [asdict(cell) for cell in self.cells]
        return {"schema": SCHEMA, **told, "floors": floors, "cells": cells, "limits": limits(self)}


def run_probe(probe: Probe, say: Say = lambda text: None) -> ProbeResult:
    """Measure all tables.

    Args:
        probe: what to measure.
        say: told what is being measured.
    """
    cells: list[Cell] = []
    for part, name in (
        (_read_out_cells, "reading rows out of a dense layer"),
        (_membership_cells, "telling members from others"),
        (_accuracy_cells, "accuracy under noise"),
        (_own_cells, "our own components"),
    ):
        if part is _own_cells and not probe.own:
            continue
        say(name)
        cells += part(probe)
    return ProbeResult(probe, tuple(cells))


def limits(result: ProbeResult) -> dict[str, dict[str, Any]]:
    """What the floors promise, against what was measured; only settings that were measured are judged.

    The last two lines must hold for the probe to mean anything: without floors it finds what is there.
    """
    floors, quiet = result.probe.floors, 0.0
    judged: dict[str, tuple[Cell | None, str, float]] = {
        "rows_recovered_at_dense_floor": (result.at("read_out", floors.min_rows_dense, quiet), "most", 0.15),
        "rows_recovered_at_floor": (result.at("read_out", floors.min_rows, quiet), "most", 0.15),
        "rows_recovered_at_floor_with_noise": (result.at("read_out", floors.min_rows, floors.noise_sd), "most", 0.0),
        "membership_at_floor": (result.at("membership", floors.min_rows, quiet), "most", 0.75),
        "membership_at_floor_with_noise": (result.at("membership", floors.min_rows, floors.noise_sd), "most", 0.75),
        "rows_recovered_without_floors": (result.at("read_out", 1, quiet), "least", 1.0),
        "membership_without_floors": (result.at("membership", 1, quiet), "least", 0.9),
    }
    return {
        name: {
            "value": cell.value,
            side: limit,
            "holds": cell.value <= limit if side == "most" else cell.value >= limit,
        }
        for name, (cell, side, limit) in judged.items()
        if cell is not None
    }


def _sent(net: dense.Net, after: dense.Net, sd: float, probe: Probe, draw: np.random.Generator) -> dense.Net:
    """What leaves the site: with noise, by the code that a site uses."""
    if sd == 0:
        return after
    floors = probe.floors.model_copy(update={"noise_sd": sd})
    state = noised(dense.state_of_net(net), dense.state_of_net(after), floors, lambda: draw).state
    return dense.net_of_state(state)


def _read_out_cells(probe: Probe) -> Iterator[Cell]:
    images, labels = digits()
    for rows in probe.rows:
        found: dict[float, list[float]] = {sd: [] for sd in probe.noise}
        for seed in range(probe.seeds):
            draw = np.random.default_rng(seed)
            net, chosen = dense.new_net(draw), draw.choice(len(images), rows, replace=False)
            after = dense.trained(net, images[chosen], labels[chosen], 1 if rows == 1 else STEPS, LR)
            for sd in probe.noise:
                sent = _sent(net, after, sd, probe, draw)
                moved = read_out(sent[0] - net[0], sent[1] - net[1], images[chosen], mean_image())
                found[sd].append(float(moved.mean()))
        for sd, shares in found.items():
            yield _cell("read_out", "dense", rows, sd, shares)
            yield _cell("some_row", "dense", rows, sd, [float(share > 0) for share in shares])


def _membership_cells(probe: Probe) -> Iterator[Cell]:
    images, labels = digits()
    starts = [_pretrained(seed) for seed in range(2 * probe.seeds)]
    for rows in probe.rows:
        for sd in probe.noise:
            areas = []
            for seed, (net, order) in enumerate(starts):
                mine, others = order[PRETRAINED : PRETRAINED + rows], order[OTHERS]
                after = dense.trained(net, images[mine], labels[mine], LOCAL, LR)
                sent = _sent(net, after, sd, probe, np.random.default_rng(1000 + seed))
                both = np.concatenate([mine, others])
                before, then = (dense.losses(n, images[both], labels[both]) for n in (net, sent))
                areas.append(membership(before, then, rows))
            strongest = max(zip(*areas, strict=True), key=lambda column: float(np.mean(column)))
            yield _cell("membership", "dense", rows, sd, list(strongest))


def _pretrained(seed: int) -> tuple[dense.Net, np.ndarray]:
    images, labels = digits()
    draw = np.random.default_rng(seed)
    order = draw.permutation(len(images))
    seen = order[:PRETRAINED]
    return dense.trained(dense.new_net(draw), images[seen], labels[seen], PRETRAINING, LR), order


def _accuracy_cells(probe: Probe) -> Iterator[Cell]:
    images, labels = digits()
    for sd in probe.noise:
        scores = []
        for seed in range(max(1, probe.seeds // 3)):
            draw = np.random.default_rng(seed)
            order = draw.permutation(len(images))
            sites, test = order[: SITES * SITE_ROWS].reshape(SITES, SITE_ROWS), order[OTHERS]
            net = dense.new_net(draw)
            for _ in range(ROUNDS):
                sent = [_sent(net, dense.trained(net, images[s], labels[s], STEPS, LR), sd, probe, draw) for s in sites]
                net = [np.mean(parts, axis=0) for parts in zip(*sent, strict=True)]
            scores.append(dense.accuracy(net, images[test], labels[test]))
        yield _cell("accuracy", f"{SITES} sites", SITE_ROWS, sd, scores)


def _own_cells(probe: Probe) -> Iterator[Cell]:
    quiet = probe.floors.model_copy(update={"site_noise": "none"})
    settings = [(0.0, quiet), (probe.floors.noise_sd, probe.floors)]
    for encoder, optimiser in (("mlp", "sgd"), ("mlp", "adam"), ("conv_image", "sgd")):
        for rows in (n for n in probe.rows if n in (1, 8, 32, 128)):
            for sd, floors in settings:
                leaks = [
                    own_leak(encoder, optimiser, rows, STEPS, seed, floors, probe.device)
                    for seed in range(max(2, probe.seeds // 2))
                ]
                read = [leak.rows for leak in leaks if leak.rows is not None]
                if read:
                    yield _cell("own_rows", f"{encoder}, {optimiser}", rows, sd, read)
                if sd == 0:
                    yield _cell("own_tokens", f"{encoder}, {optimiser}", rows, sd, [leak.tokens for leak in leaks])


def _cell(table: str, what: str, rows: int, noise: float, values: list[float]) -> Cell:
    return Cell(table, what, rows, noise, float(np.mean(values)), float(np.std(values)))
