"""Which trained components may leave a site. Pure: numbers in, reasons out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from fedmce.config.privacy import PrivacyConfig
from fedmce.folders.release import Release
from fedmce.privacy.classify import FirstLayer

Reason = Literal["rows", "steps", "batch", "classes", "single_holder", "embedding"]
REASONS: tuple[Reason, ...] = get_args(Reason)
CLASSIFYING = ("head", "fusion")  # kinds whose change tells which classes there are
ENOUGH_NOISE = 0.01  # noise_sd from which reading rows out of a dense layer fails (docs/privacy.md, table C)


def effective(plan: PrivacyConfig, release: Release | None) -> PrivacyConfig:
    """The stricter of the plan's and the site's value, key by key."""
    return plan if release is None else release.overrule(plan)


@dataclass(frozen=True)
class Behind:
    """What is behind a site's change of one component in one round.

    Attributes:
        component: its name.
        rows: that trained it.
        steps: of local training.
        batch: rows per step.
        first_layer: what first sees raw inputs in it.
        class_rows: of its rows, how many are of each class.
        is_single: no other site holds it.
    """

    component: str
    rows: int
    steps: int
    batch: int
    first_layer: FirstLayer = "none"
    class_rows: Sequence[int] = ()
    is_single: bool = False


def is_noised(first_layer: FirstLayer, floors: PrivacyConfig) -> bool:
    """The site adds noise to a component with this first layer."""
    if floors.site_noise == "none":
        return False
    return floors.site_noise == "all" or first_layer in ("dense", "embedding")


def held_back(behind: Behind, floors: PrivacyConfig) -> tuple[Reason, ...]:
    """Why a component is not released; empty if it may be.

    A component is released only if all of these hold:

    * at least ``min_rows`` rows trained it, ``min_rows_dense`` where its first layer is dense on raw inputs and no
      noise of at least :data:`ENOUGH_NOISE` is added;
    * the training had ``min_steps`` steps of ``min_batch`` rows;
    * a head or the fusion saw two classes of ``k_min`` rows: trained on one class it tells the label of the site;
    * with ``single_holder=freeze`` another site holds it too: else the average of the round is this site's work;
    * an embedding carries noise: without, the rows of its table that moved name the ids that occur.

    Source: floors of the project's threat model (docs/privacy.md), measured by ``fedmce leak-probe``.
    """
    if floors.is_open:
        return ("single_holder",) if behind.is_single and floors.single_holder == "freeze" else ()
    noised = is_noised(behind.first_layer, floors) and floors.noise_sd >= ENOUGH_NOISE
    readable = behind.first_layer in ("dense", "embedding") and not noised
    found: list[Reason] = []
    if behind.rows < (floors.min_rows_dense if readable else floors.min_rows):
        found.append("rows")
    if behind.steps < floors.min_steps:
        found.append("steps")
    if behind.batch < floors.min_batch:
        found.append("batch")
    if _tells_one_class(behind, floors):
        found.append("classes")
    if behind.is_single and floors.single_holder == "freeze":
        found.append("single_holder")
    if behind.first_layer == "embedding" and not noised:
        found.append("embedding")
    return tuple(found)


def _tells_one_class(behind: Behind, floors: PrivacyConfig) -> bool:
    if not behind.class_rows or behind.component.partition(".")[0] not in CLASSIFYING:
        return False
    return sum(count >= floors.k_min for count in behind.class_rows) < 2
