"""What sums of test rows a site owes, where nobody but the site holds these rows."""

from __future__ import annotations

from dataclasses import dataclass

from fedmce.config.schema import ContributionsConfig
from fedmce.contributions import is_exact
from fedmce.metrics.calibration import BINS
from fedmce.subsets import PANEL

CLASS_LINES, CALIBRATION_LINES = 3, 4  # of the tables of one subset


@dataclass(frozen=True)
class DueSums:
    """What an honest reply with sums of test rows looks like.

    Attributes:
        rows: test rows, from the profile.
        validation_rows: validation rows, from the profile.
        classes: of the task.
        names: modalities.
        width: of a token.
        contributions: how they are measured.
        fills: absent modalities are filled in from neighbours.
        slack: what rounding at the site can do to a sum, per row.
    """

    rows: int
    validation_rows: int
    classes: int
    names: tuple[str, ...]
    width: int
    contributions: ContributionsConfig
    fills: bool = False
    slack: float = 0.0

    @property
    def metrics(self) -> list[str]:
        """Metrics of cells."""
        return ["accuracy", *(f"recall:{c}" for c in range(self.classes)), *(["auc"] if self.classes == 2 else [])]

    def most(self, group: str) -> dict[str, int]:
        """Largest count per metric of a group of cells."""
        rows = self.validation_rows if group == "own_validation" else self.rows
        return {metric: rows**2 if metric == "auc" else rows for metric in self.metrics}

    @property
    def subsets(self) -> int:
        """Most subsets that are scored."""
        return max(PANEL, (1 << min(len(self.names), 8)) - 1)

    @property
    def most_numbers(self) -> int:
        """Most numbers that honest sums have."""
        modalities = len(self.names)
        cells = (self.subsets + 2 + 2 * modalities) * 3 * len(self.metrics)
        tables = self.subsets * (1 + CLASS_LINES * self.classes + CALIBRATION_LINES * (BINS + 1))
        shares = 5 * modalities**2
        exact = is_exact(self.contributions, modalities)
        values = 5 * min(3**modalities, self.rows << modalities) if exact else 0
        return cells + tables + shares + values + modalities * (self.width + 10)
