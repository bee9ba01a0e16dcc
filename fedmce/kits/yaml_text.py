"""YAML that came from elsewhere: no references, which can blow a small file up, and each key once (K13)."""

from __future__ import annotations

from typing import Any

import yaml

LARGEST = 1024 * 1024  # bytes


class _Strict(yaml.SafeLoader):
    """Refuses what safe_load takes without a word: references, and keys given twice."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("a reference (*name); needed plain values")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
            raise yaml.YAMLError(f"the key {twice[0]!r} stands twice")
        return super().construct_mapping(node, deep)


def read_yaml(content: bytes) -> object:
    """Values of a YAML document.

    Raises:
        yaml.YAMLError: no YAML, too large, with references, or with a key twice.
        ValueError: not UTF-8.
    """
    if len(content) > LARGEST:
        raise yaml.YAMLError(f"{len(content)} bytes; needed at most {LARGEST}")
    return yaml.load(content.decode("utf-8"), Loader=_Strict)
