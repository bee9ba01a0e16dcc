"""The configuration of a run: schema, loading, messages, agreement with a data set."""

from fedmce.config.agreement import check_against
from fedmce.config.load import config_from_json, config_from_tree, config_from_yaml
from fedmce.config.schema import RunConfig

__all__ = ["RunConfig", "check_against", "config_from_json", "config_from_tree", "config_from_yaml"]
