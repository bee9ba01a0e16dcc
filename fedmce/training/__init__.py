"""The local loop and the evaluation of all subsets."""

from fedmce.training.capability import starting_lack, unimodal_values
from fedmce.training.device import compiled, pick_device
from fedmce.training.device_rows import DeviceRows
from fedmce.training.evaluation import Predictions, predict_subsets
from fedmce.training.local import TrainingReport, learning_rate, make_optimiser, train_locally

__all__ = [
    "DeviceRows",
    "Predictions",
    "TrainingReport",
    "compiled",
    "learning_rate",
    "make_optimiser",
    "pick_device",
    "predict_subsets",
    "starting_lack",
    "train_locally",
    "unimodal_values",
]
