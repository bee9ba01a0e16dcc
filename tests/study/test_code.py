"""The hash of the code."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmce.study import code

MODULE = '"""What it is."""\n\nfrom math import pi\n\n\ndef area(r: float) -> float:\n    """Of a disc."""\n    return pi * r**2\n'


@pytest.mark.parametrize(
    "same",
    [
        MODULE.replace("Of a disc.", "Of a circle."),
        MODULE.replace("    return", "    # why\n    return"),
        MODULE.replace("pi * r**2", "(pi * r ** 2)"),
    ],
)
def test_words_and_layout_do_not_count(same: str) -> None:
    assert same != MODULE
    assert code.statements(same) == code.statements(MODULE)


def test_every_statement_counts() -> None:
    assert code.statements(MODULE.replace("**2", "**3")) != code.statements(MODULE)
    assert code.statements(MODULE + "x = 1\n") != code.statements(MODULE)


def test_rooms_that_draw_or_plan_do_not_count_and_the_others_do(repository: Path) -> None:
    package = repository / "fedmce"
    for name in ("report/style.py", "study/plan.py", "cli/app.py", "config/study.py"):
        assert not code._counts(package / name, package), name
    for name in ("objectives/mce.py", "config/schema.py", "aggregation/mean.py", "streams.py"):
        assert code._counts(package / name, package), name
    assert len(code.code_sha256()) == 64
