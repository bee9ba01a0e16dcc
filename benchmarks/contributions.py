"""Cost of exact contributions on held-out rows against the fusion calls that they cannot do without.

2,000 rows that hold all four modalities, 28 x 28 images, exact Shapley values.

* What is measured: everything from rows to contributions. Plan the 15 subsets of each row, encode, predict
  30,000 pairs, probabilities, values, value table, table of shares with standard errors, Shapley values.
* What it is held against: encoders run once on all rows, then one fusion call for each of the 2^4 - 1
  subsets on all rows at once, from cached tokens and cached logits of the unimodal heads. Nothing is made of the
  logits.

The second figure leaves the encoders and what they read out on both sides: tokens are there before the
clock starts, and images are so small that taking them costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from benchmarks.repeats import median_ratio
from benchmarks.row import Figure
from benchmarks.site import SHAPE, BenchSite, make_site
from fedmce.config.schema import ContributionsConfig
from fedmce.contributions import contributions
from fedmce.models import Batch, MultimodalNet
from fedmce.subsets import members
from fedmce.training.evaluation import CHUNK
from fedmce.training.measurement import measure

ROWS, MODALITIES, GOAL = 2000, 4, 1.2


class CachedTokens(MultimodalNet):
    """A network whose encoders have run: batches are looked up by the rows that they hold."""

    cache: Tensor

    def encode(self, batch: Batch) -> Tensor:
        """Tokens ``(rows, modalities, width)``."""
        assert batch.index is not None
        return self.cache[batch.index]


@torch.no_grad()
def tokens_of(net: MultimodalNet, site: BenchSite) -> Tensor:
    """Tokens of all rows, in the pieces that measuring takes them in."""
    starts = range(0, site.rows.count, CHUNK)
    pieces = [np.arange(at, min(at + CHUNK, site.rows.count)) for at in starts]
    return torch.cat([MultimodalNet.encode(net, site.rows.batch(rows)[0]) for rows in pieces])


def exact_contributions(net: MultimodalNet, site: BenchSite) -> dict[str, float | None]:
    """Shapley values of the modalities on the site's rows."""
    config = ContributionsConfig.model_validate({"estimator": "exact"})
    _, tally = measure(net, site.rows, config, np.random.default_rng(0))
    assert tally.values is not None
    return contributions(tally.values, net.spec.names, 0.1)


@torch.no_grad()
def fusion_calls(net: MultimodalNet, token: Tensor) -> list[Tensor]:
    """Logits of every subset of all rows, one call each."""
    rows, modalities = token.shape[:2]
    unimodal = net.unimodal(token)
    row = torch.arange(rows)
    member = torch.from_numpy(members(np.arange(1, 1 << modalities), modalities))
    return [net.fuse(token, row, subset.expand(rows, -1), unimodal) for subset in member]


def contribution_cost(rows: int = ROWS) -> list[Figure]:
    """Exact contributions / encoding once and 2^M - 1 fusion calls, with and without the encoders."""
    site, small = (make_site(MODALITIES, rows, missing=0.0, shape=shape) for shape in (SHAPE, (1, 4, 4)))
    net, cached = site.network().eval(), CachedTokens(small.spec).eval()
    cached.cache = token = tokens_of(net, site)
    name = f"exact contributions / {2**MODALITIES - 1} fusion calls, {rows} rows, {MODALITIES} modalities"
    sides: Sequence[tuple[str, Callable[[], object], Callable[[], object]]] = (
        (
            ", encoders run once",
            lambda: exact_contributions(net, site),
            lambda: fusion_calls(net, tokens_of(net, site)),
        ),
        (
            ", tokens cached",
            lambda: exact_contributions(cached, small),
            lambda: fusion_calls(cached, token),
        ),
    )
    return [Figure(name + end, median_ratio(work, base), "ratio", GOAL) for end, work, base in sides]
