"""How many rows and steps a site says are behind its update, against its profile and the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from server.gate.expectation import Expectation
from server.gate.stop import Stop
from server.gate.verdicts import shown

ROWS = "rows."


def read_counts(report: Mapping[str, Any], expected: Expectation, returned: Iterable[str]) -> dict[str, int]:
    """Rows per granted component; 0 where it was not returned.

    Counts are not cast: a float or a bool is no count, whatever it equals. Which counts are too small is
    decided with the change of the component at hand.

    Raises:
        Stop: ``count_type``, ``count_range`` (below 0) or ``count_above_profile``.
    """
    claimed = {key.removeprefix(ROWS): value for key, value in report.items() if key.startswith(ROWS)}
    if strangers := sorted(set(claimed) - set(expected.most_rows)):
        raise Stop("count_type", f"rows for {shown(strangers[0])}, which was not given to this site")
    rows = dict.fromkeys(expected.most_rows, 0)
    for component in returned:
        count = claimed.get(component)
        if type(count) is not int:
            raise Stop("count_type", f"rows of {component} are {shown(count)}; an integer is needed", component)
        if count < 0:
            raise Stop("count_range", f"rows of {component} are {shown(count)}; 0 or more are needed", component)
        if count > expected.most_rows[component]:
            raise Stop(
                "count_above_profile",
                f"rows of {component} are {shown(count)}; the profile has {expected.most_rows[component]}",
                component,
            )
        rows[component] = count
    return rows


def read_steps(report: Mapping[str, Any], expected: Expectation) -> int:
    """Steps of local training. Raises :class:`Stop` (``steps``) if the plan cannot have made so many, or so few."""
    steps, most = report.get("steps"), expected.most_steps
    if type(steps) is not int or steps < 1 or (most is not None and steps > most):
        allowed = "1 or more" if most is None else f"1 to {most}"
        raise Stop("steps", f"steps are {shown(steps)}; the plan makes {allowed}")
    return steps
