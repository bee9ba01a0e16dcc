"""The folder of a study."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fedmce.errors import ConfigError, DataError
from fedmce.study.folder import StudyFolder
from tests.study.made import study

ROW = {"key": "k1", "status": "done"}


def test_nothing_is_written_before_the_folder_is_claimed(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path / "new", study())
    assert folder.rows() == []
    assert not (tmp_path / "new").exists()


def test_rows_are_appended_and_read_back_with_their_records(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, study())
    with folder.claim():
        folder.add(ROW, {"metrics": {"full": 0.5}})
        folder.add({"key": "k2", "status": "failed"}, None)
    again = StudyFolder(tmp_path, study())
    assert [row["key"] for row in again.rows()] == ["k1", "k2"]
    assert again.record("k1") == {"metrics": {"full": 0.5}}
    with pytest.raises(DataError, match="cannot be read"):
        again.record("k2")


def test_the_folder_of_another_study_is_refused_and_kept(tmp_path: Path) -> None:
    with StudyFolder(tmp_path, study()).claim():
        pass
    before = (tmp_path / "study.json").read_bytes()
    with pytest.raises(ConfigError, match="holds study made; needed a new folder or that of study other"):
        StudyFolder(tmp_path, study(name="other"))
    assert (tmp_path / "study.json").read_bytes() == before


def test_a_folder_with_something_else_or_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(ConfigError, match="not empty and holds no study"):
        StudyFolder(tmp_path, study())
    with pytest.raises(ConfigError, match="which is a file"):
        StudyFolder(tmp_path / "precious.txt", study())


def test_a_line_that_a_killed_process_left_half_is_dropped_and_the_next_one_is_whole(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, study())
    with folder.claim():
        folder.add(ROW, None)
    with (tmp_path / "cells.jsonl").open("a") as file:
        file.write('{"key":"k2","sta')
    assert [row["key"] for row in folder.rows()] == ["k1"]
    with folder.claim():
        folder.add({"key": "k3", "status": "done"}, None)
    assert [row["key"] for row in folder.rows()] == ["k1", "k3"]
    assert all(json.loads(line) for line in (tmp_path / "cells.jsonl").read_text().splitlines())


def test_a_broken_line_in_the_middle_is_told_with_its_number(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path, study())
    with folder.claim():
        folder.add(ROW, None)
    path = tmp_path / "cells.jsonl"
    path.write_text("oops\n" + path.read_text())
    with pytest.raises(DataError, match="line 1: not JSON"):
        folder.rows()


def test_two_commands_do_not_work_in_one_folder(tmp_path: Path) -> None:
    second = StudyFolder(tmp_path, study())
    with second.claim(), pytest.raises(ConfigError, match="another command works in"):
        StudyFolder(tmp_path, study()).claim().__enter__()
    with second.claim():
        pass
