"""How long a site may take, and which versions of the wire it reads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedmce.errors import VersionError
from fedmce.flower_compat import ConfigRecord
from fedmce.wire import MARGIN_S, Order, budget

ORDER = Order(3, True, "ash", "{}")


def test_a_site_answers_a_margin_before_the_deadline_and_has_half_of_a_short_one() -> None:
    assert budget(900.0) == 900.0 - MARGIN_S
    assert budget(10.0) == 5.0
    assert all(0 < budget(deadline) < deadline for deadline in (0.1, 15.0, 29.0, 30.0, 31.0, 1e6))


def test_the_budget_travels_and_may_be_left_out() -> None:
    assert Order.from_record(ConfigRecord(replace(ORDER, budget_s=2.5).to_record())).budget_s == 2.5  # type: ignore[arg-type]
    assert "budget_s" not in ORDER.to_record()
    assert Order.from_record(ORDER.to_record()).budget_s is None


def test_C17_a_later_minor_version_with_more_to_say_is_read() -> None:
    assert Order.from_record(ORDER.to_record() | {"schema": "fedmce.wire/1.3", "more": 1}) == ORDER


@pytest.mark.parametrize("schema", ["fedmce.wire/2", "fedmce.wire/11", "fedmce.wire/", "other/1", 1, None])
def test_C17_another_major_version_is_refused_by_both_names(schema: object) -> None:
    with pytest.raises(VersionError, match=r"this program speaks fedmce.wire/1\b"):
        Order.from_record(ORDER.to_record() | {"schema": schema})
