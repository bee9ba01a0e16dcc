"""Objectives from a user's file: what works, and what each mistake is told."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fedmce.config.schema import PythonConfig, TaskObjectiveConfig
from fedmce.errors import ConfigError
from fedmce.models import MultimodalNet
from fedmce.objectives import OBJECTIVES, Emphasis, Loss
from fedmce.objectives.python import load_factory
from tests.oracles.worlds import facts_of, lively, make_batch, rows_of, small_spec

PLAIN = """
from __future__ import annotations

from dataclasses import dataclass, field

from fedmce.objectives.task import fused_task_loss


@dataclass
class Mine:
    scale: float
    told_rows: list[int] = field(default_factory=list)

    def __call__(self, net, batch, available):
        return self.scale * fused_task_loss(net, batch, available).total

    def told(self, net, batches):
        self.told_rows.append(1)


def make(options, facts, generator):
    return Mine(**options)


def bare(options, facts, generator):
    return lambda net, batch, available: fused_task_loss(net, batch, available)


def wrong_loss(options, facts, generator):
    return lambda net, batch, available: net.encode(batch)


def nothing(options, facts, generator):
    return None


def two(options, facts):
    return None


number = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(PLAIN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def loss_of(call: str, **options: float) -> Loss:
    net, available = lively(MultimodalNet(small_spec(3))), rows_of([7, 1, 6], 3)
    rule = OBJECTIVES["python"](
        PythonConfig(call=call, options=options), facts_of(net.spec, available), np.random.default_rng(0)
    )
    assert rule.emphasis() == Emphasis()
    rule.after_backward(net)
    assert rule.told(net, []) == {}
    return rule(net, make_batch(net.spec, available), available)


def test_a_scalar_and_a_loss_both_serve(here: Path) -> None:
    net, available = lively(MultimodalNet(small_spec(3))), rows_of([7, 1, 6], 3)
    task = OBJECTIVES["task"](TaskObjectiveConfig(), facts_of(net.spec, available), np.random.default_rng(0))
    plain = task(net, make_batch(net.spec, available), available).total
    assert torch.equal(loss_of("mine.py:bare").total, plain)
    assert torch.equal(loss_of("mine.py:make", scale=2.0).total, 2 * plain)


def test_nothing_is_registered_and_files_of_one_name_do_not_meet(here: Path) -> None:
    before = set(OBJECTIVES)
    (here / "other").mkdir()
    (here / "other" / "mine.py").write_text(PLAIN.replace("number = 3", "number = 4"))
    first, second = load_factory("mine.py:make"), load_factory("other/mine.py:make")
    assert first.__globals__["number"] == 3
    assert second.__globals__["number"] == 4
    assert set(OBJECTIVES) == before
    assert "mine" not in sys.modules


def test_an_edited_file_is_read_again(here: Path) -> None:
    load_factory("mine.py:make")
    (here / "mine.py").write_text(PLAIN.replace("number = 3", "number = 5"))
    assert load_factory("mine.py:make").__globals__["number"] == 5


def test_an_installed_module_serves(here: Path) -> None:
    assert load_factory("fedmce.objectives.task:task") is OBJECTIVES["task"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("mine.py", r"given 'mine.py'; needed file.py:name or package.module:name"),
        ("nix.py:make", r"no file .*nix.py; needed a Python file, its path from the working directory"),
        ("mine.py:maker", r"unknown function 'maker'; known are .*make.*did you mean 'make'"),
        ("mine.py:number", r"mine.py:number is a int; needed a function \(options, facts, generator\)"),
        ("mine.py:two", r"is a callable \(options, facts\); needed a function \(options, facts, generator\)"),
        ("no.such:make", r"module 'no.such' cannot be imported \(ModuleNotFoundError"),
        ("broken.py:make", r"broken.py fails with ZeroDivisionError: division by zero; needed a file that imports"),
    ],
)
def test_a_mistake_is_told_with_what_is_needed(here: Path, call: str, told: str) -> None:
    (here / "broken.py").write_text("1 / 0\n")
    with pytest.raises(ConfigError, match=told):
        load_factory(call)
    assert not [name for name in sys.modules if name.startswith("fedmce_user_broken")]


def test_what_the_factory_returns_and_what_that_returns_is_checked(here: Path) -> None:
    with pytest.raises(ConfigError, match=r"mine.py:nothing returned NoneType; needed a function"):
        loss_of("mine.py:nothing")
    with pytest.raises(
        ConfigError, match=r"gave a tensor of shape \(3, 3, 4\) for a batch; needed a scalar tensor or a Loss"
    ):
        loss_of("mine.py:wrong_loss")
