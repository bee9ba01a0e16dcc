"""Figures and one HTML page of a run, drawn from its records alone (docs/reading-the-report.md)."""

from fedmce.report.compare import compare
from fedmce.report.draw import draw

__all__ = ["compare", "draw"]
