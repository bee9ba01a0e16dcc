"""The commands beside ``run``: help, version, config, data, report."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from fedmce import __version__
from fedmce.cli.app import app
from fedmce.cli.compose import load_config
from fedmce.config.load import config_from_tree


def fedmce(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_help_imports_nothing_heavy() -> None:
    heavy = "{'torch', 'flwr', 'ray', 'hydra', 'omegaconf', 'pydantic', 'matplotlib', 'numpy'}"
    code = (
        "import sys\nfrom fedmce.__main__ import main\nsys.argv = ['fedmce', '--help']\n"
        f"try:\n    main()\nfinally:\n    print('heavy:', *sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "Usage: fedmce" in done.stdout
    assert done.stdout.splitlines()[-1] == "heavy:"


def test_every_command_has_help_without_escape_characters() -> None:
    for command in (
        ["run"],
        ["report"],
        ["predict"],
        ["data", "ls"],
        ["data", "fetch"],
        ["config", "show"],
        ["config", "ls"],
    ):
        done = fedmce(*command, "--help")
        assert done.exit_code == 0
        assert "\x1b" not in done.output


def test_version_is_the_package_s() -> None:
    assert fedmce("--version").stdout == f"fedmce {__version__}\n"


@pytest.mark.parametrize("arguments", [["run", "--jsn"], ["nothing"], ["predict"], ["data", "fetch"]])
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    done = fedmce(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""


def test_config_show_prints_yaml_that_is_the_configuration() -> None:
    done = fedmce("config", "show", "method=fedavg_zero", "rounds=3")
    assert config_from_tree(yaml.safe_load(done.stdout)) == load_config(["method=fedavg_zero", "rounds=3"])


@pytest.mark.parametrize("command", ["show", "validate"])
def test_config_refuses_what_run_refuses(command: str) -> None:
    done = fedmce("config", command, "rounds=abc")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "error: rounds: given 'abc'; needed a whole number from 1 to 100000\n"


def test_config_validate_prints_the_fingerprint() -> None:
    assert load_config(["seed=3"]).fingerprint() in fedmce("config", "validate", "seed=3").stdout


def test_config_ls_lists_groups_and_choices() -> None:
    listed = {line.split()[0]: line.split()[1:] for line in fedmce("config", "ls").stdout.splitlines()}
    assert listed["dataset"] == ["av_digits", "folders", "hapt", "heart_disease", "leaves100", "sound_mnist"]
    assert listed["engine"] == ["deployed", "flower", "inprocess"]


def test_data_ls_says_which_files_are_there(tmp_path: Path) -> None:
    (tmp_path / "heart_disease").mkdir()
    (tmp_path / "heart_disease" / "processed.va.data").touch()
    listed = fedmce("data", "ls", "--data-dir", str(tmp_path)).stdout.splitlines()
    assert any(line.startswith("av_digits") and "embedded" in line for line in listed)
    assert any(line.startswith("heart_disease") and "1 of 4 files" in line for line in listed)


def test_fetching_an_unknown_data_set_names_the_nearest(tmp_path: Path) -> None:
    done = fedmce("data", "fetch", "heart_diseas", "--data-dir", str(tmp_path))
    assert done.exit_code == 2
    assert "did you mean 'heart_disease'?" in done.stderr


def test_fetching_the_embedded_set_has_nothing_to_do(tmp_path: Path) -> None:
    done = fedmce("data", "fetch", "av_digits", "--data-dir", str(tmp_path / "data"))
    assert (done.exit_code, done.stdout) == (0, "")
    assert not (tmp_path / "data").exists()


def test_a_report_of_no_run_ends_with_3(tmp_path: Path) -> None:
    done = fedmce("report", str(tmp_path))
    assert done.exit_code == 3
    assert str(tmp_path) in done.stderr


def test_reading_only_the_first_lines_is_no_error() -> None:
    command = f"{sys.executable} -m fedmce config show | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("method: fedmce\n", "")
