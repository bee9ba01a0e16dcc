"""The local loop and the evaluation of all subsets."""

from fedmce.training.at_site import rows_at_site, stand_in_counts, with_neighbours
from fedmce.training.capability import starting_lack, unimodal_values
from fedmce.training.device import check_compiler, compiled, pick_device
from fedmce.training.device_rows import DeviceRows, left_of
from fedmce.training.evaluation import Predictions, predict_full, predict_pairs, predict_subsets, subset_logits
from fedmce.training.local import TrainingReport, learning_rate, make_optimiser, train_locally
from fedmce.training.measurement import empty_tally, measure
from fedmce.training.own import predict_own
from fedmce.training.scored import ScoredRows, nothing_scored, score_rows, with_last

__all__ = [
    "DeviceRows",
    "Predictions",
    "ScoredRows",
    "TrainingReport",
    "check_compiler",
    "compiled",
    "empty_tally",
    "learning_rate",
    "left_of",
    "make_optimiser",
    "measure",
    "nothing_scored",
    "pick_device",
    "predict_full",
    "predict_own",
    "predict_pairs",
    "predict_subsets",
    "rows_at_site",
    "score_rows",
    "stand_in_counts",
    "starting_lack",
    "subset_logits",
    "train_locally",
    "unimodal_values",
    "with_last",
    "with_neighbours",
]
