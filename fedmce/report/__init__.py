"""Figures and one HTML page of a run, drawn from its records alone (docs/reading-the-report.md); pages that
put several runs side by side."""

from fedmce.report.compare import compare
from fedmce.report.draw import draw
from fedmce.report.matrix import draw_matrix

__all__ = ["compare", "draw", "draw_matrix"]
