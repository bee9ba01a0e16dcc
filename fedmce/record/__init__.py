"""The run folder: events, result, model."""

from fedmce.record.model_file import LoadedModel, load_model, save_model
from fedmce.record.result import Result, build_result, read_result, write_json, write_result
from fedmce.record.writer import RecordWriter, read_record

__all__ = [
    "LoadedModel",
    "RecordWriter",
    "Result",
    "build_result",
    "load_model",
    "read_record",
    "read_result",
    "save_model",
    "write_json",
    "write_result",
]
