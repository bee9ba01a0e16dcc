"""Predictions of a trained model for a file of samples that hold any subset of the modalities."""

from fedmce.predict.answers import predict_file

__all__ = ["predict_file"]
