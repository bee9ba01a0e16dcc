"""The local loop and the evaluation of all subsets."""

from fedmce.training.device import pick_device
from fedmce.training.device_rows import DeviceRows
from fedmce.training.evaluation import Predictions, capability_gaps, predict_subsets
from fedmce.training.local import TrainingReport, learning_rate, make_optimiser, train_locally

__all__ = [
    "DeviceRows",
    "Predictions",
    "TrainingReport",
    "capability_gaps",
    "learning_rate",
    "make_optimiser",
    "pick_device",
    "predict_subsets",
    "train_locally",
]
