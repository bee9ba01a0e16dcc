"""Configurations from JSON and YAML, without Hydra."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fedmce.cli.compose import load_config
from fedmce.config.load import config_from_json, config_from_tree, config_from_yaml
from fedmce.errors import ConfigError


def tree() -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(load_config().to_json())
    return whole


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"x"'])
def test_text_that_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="configuration"):
        config_from_json(text)


def test_an_unknown_name_of_a_union_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match=r"dataset\.name: given 'mnist'; needed one of av_digits, sound_mnist, heart_disease"
    ):
        config_from_tree(tree() | {"dataset": {"name": "mnist"}})


def test_an_absent_section_is_named() -> None:
    whole = tree()
    del whole["training"]
    with pytest.raises(ConfigError, match="training: nothing given"):
        config_from_tree(whole)


def test_a_section_that_is_no_section_is_named() -> None:
    with pytest.raises(ConfigError, match="training: given 3; needed a section of keys"):
        config_from_tree(tree() | {"training": 3})


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe", b"3", b"- a"])
def test_a_bad_yaml_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"config(\.yaml|uration)"):
        config_from_yaml(file)


def test_an_absent_yaml_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        config_from_yaml(tmp_path / "nowhere.yaml")


def test_loading_needs_neither_hydra_nor_torch() -> None:
    code = "import sys, fedmce.config; print(*sorted({'hydra', 'omegaconf', 'torch', 'flwr', 'typer', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
