"""Studies: methods x settings x seeds; what to run, what was found, statistics and tables. Nothing here runs a cell."""

from fedmce.study.cell import Cell, cell_key
from fedmce.study.folder import StudyFolder
from fedmce.study.plan import Choice, Plan
from fedmce.study.results import Results, collect
from fedmce.study.statistics import Paired, Ranks, holm, paired, ranks

__all__ = [
    "Cell",
    "Choice",
    "Paired",
    "Plan",
    "Ranks",
    "Results",
    "StudyFolder",
    "cell_key",
    "collect",
    "holm",
    "paired",
    "ranks",
]
