"""Progress: a bar on a terminal, lines elsewhere, nothing when quiet."""

from __future__ import annotations

import io
from typing import Any

import pytest

from fedmce.cli.progress import progress, refusals


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def round_row(number: int, verdict: str = "accepted", void: bool = False) -> dict[str, Any]:
    return {"event": "round", "round": number, "void": void, "sites": {"north": {"verdict": verdict}}}


def score_row(number: int, split: str, score: float | None) -> dict[str, Any]:
    return {"event": "evaluation", "round": number, "split": split, "metric": "accuracy", "mean_subset": score}


def shown(stream: io.StringIO, is_quiet: bool, *rows: dict[str, Any]) -> str:
    with progress(3, is_quiet=is_quiet, stream=stream) as show:
        for row in rows:
            show(row)
    return stream.getvalue()


ROWS = ({"event": "start"}, score_row(0, "test", 0.125), round_row(1), round_row(2, "late"))


def test_a_terminal_gets_a_bar_with_round_time_score_and_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    text = shown(Terminal(), False, *ROWS)
    assert "2/3" in text
    assert "s left" in text
    assert "mean-subset accuracy 0.125 after round 0" in text
    assert "round 2: set aside: north (late)" in text


def test_a_pipe_gets_one_line_per_round() -> None:
    lines = shown(io.StringIO(), False, *ROWS).splitlines()
    assert len(lines) == 2
    assert lines[1].endswith("set aside: north (late)")


def test_quiet_shows_nothing_anywhere() -> None:
    assert shown(Terminal(), True, *ROWS) == ""


def test_a_test_score_is_not_covered_by_a_validation_score() -> None:
    rows = (score_row(1, "test", 0.5), score_row(1, "validation", 0.75), round_row(1))
    assert "0.500" in shown(io.StringIO(), False, *rows)


def test_a_score_that_is_not_defined_is_said_so() -> None:
    assert "not defined" in shown(io.StringIO(), False, score_row(1, "test", None), round_row(1))


def test_a_void_round_is_named() -> None:
    assert refusals(round_row(1, "not_finite", void=True)) == "void round. set aside: north (not_finite)"
