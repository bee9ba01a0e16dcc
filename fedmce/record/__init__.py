"""The run folder: events and result; the model file is ``fedmce.record.model_file``, which needs torch."""

from fedmce.record.follower import RecordFollower
from fedmce.record.result import Result, build_result, read_result, write_json, write_result
from fedmce.record.writer import RecordWriter, read_record

__all__ = [
    "RecordFollower",
    "RecordWriter",
    "Result",
    "build_result",
    "read_record",
    "read_result",
    "write_json",
    "write_result",
]
