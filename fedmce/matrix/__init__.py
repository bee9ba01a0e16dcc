"""The matrix: any trained model under any mechanism on test rows."""

from fedmce.matrix.score import Scored, score_under
from fedmce.matrix.table import SCHEMA, lines, tree
from fedmce.matrix.trained import TrainedRun, open_run

__all__ = ["SCHEMA", "Scored", "TrainedRun", "lines", "open_run", "score_under", "tree"]
