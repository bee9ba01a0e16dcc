"""What an operator tells a run that goes on, and what the round loop makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from client.workplace import open_workplace
from fedmce.data import FederatedDataset
from fedmce.site_errors import number_of
from server.committed.chronicle import Chronicle
from server.operator_word import Told, Words, leave_word
from server.rounds import RoundLoop
from tests.faults.scripted import Act, ScriptedGrid, play
from tests.server.made import made_config, made_dataset, use


@pytest.fixture(scope="module")
def made() -> Iterator[FederatedDataset]:
    with pytest.MonkeyPatch.context() as patch:
        yield use(patch, made_dataset())
    open_workplace.cache_clear()


def test_a_word_is_heard_once_and_again_after_a_crash_until_its_round_is_over(tmp_path: Path) -> None:
    leave_word(tmp_path, "readmit", "ash")
    words = Words(tmp_path)
    assert words.hear() == (Told("readmit", "ash"),)
    assert words.hear() == ()
    again = Words(tmp_path)
    assert again.hear() == (Told("readmit", "ash"),)
    again.done()
    assert Words(tmp_path).hear() == ()


def test_the_later_of_two_opposite_words_counts(tmp_path: Path) -> None:
    leave_word(tmp_path, "revoke", "ash")
    leave_word(tmp_path, "readmit", "ash")
    leave_word(tmp_path, "readmit", "birch")
    leave_word(tmp_path, "revoke", "birch")
    assert Words(tmp_path).hear() == (Told("readmit", "ash"), Told("revoke", "birch"))


def test_other_files_and_a_run_without_a_folder_say_nothing(tmp_path: Path) -> None:
    (tmp_path / "operator").mkdir()
    (tmp_path / "operator" / "notes.txt").touch()
    (tmp_path / "operator" / "expel.ash").touch()
    assert Words(tmp_path).hear() == Words(None).hear() == ()


def spoken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the scripted loop hear what lies in a folder."""
    begin = RoundLoop.__init__
    monkeypatch.setattr(RoundLoop, "__init__", lambda self, *a, **k: begin(self, *a, **k, words=Words(tmp_path)))


def test_a_revoked_site_is_asked_no_more_until_it_is_readmitted(
    made: FederatedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken(tmp_path, monkeypatch)

    def prepare(grid: ScriptedGrid) -> None:
        def readmit(_: ScriptedGrid) -> None:
            leave_word(tmp_path, "readmit", "cedar")

        def revoke(g: ScriptedGrid) -> None:
            leave_word(tmp_path, "revoke", "cedar")
            g.hooks[4] = readmit

        grid.hooks[2] = revoke

    played = play(made_config(rounds=6, evaluate_every=6), made, tmp_path, lambda *_: Act(), prepare=prepare)
    assert played.error is None
    assert played.asked("cedar") == [1, 2, 5, 6]
    assert ["cedar" in row["expelled"] for row in played.rounds] == [False, False, True, True, False, False]
    assert [row.get("operator") for row in played.rounds] == [
        None,
        None,
        [{"word": "revoke", "site": "cedar"}],
        None,
        [{"word": "readmit", "site": "cedar"}],
        None,
    ]


def test_S09_a_site_with_another_key_takes_part_once_it_is_readmitted(
    made: FederatedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken(tmp_path, monkeypatch)

    def prepare(grid: ScriptedGrid) -> None:
        def swap(g: ScriptedGrid) -> None:
            g.site("cedar").online = False
            node = max(g.sites) + 1
            g.sites[node] = type(g.sites[1])("cedar", b"another key")
            g._contexts[node] = g._contexts[next(n for n, s in g.sites.items() if s.name == "cedar")]
            g.hooks[4] = lambda _: leave_word(tmp_path, "readmit", "cedar")

        grid.hooks[2] = swap

    played = play(made_config(rounds=6, evaluate_every=6, exchange__deadline_s=100.0), made, tmp_path, prepare=prepare)
    assert played.error is None
    (refused,) = [row for row in played.rounds if row.get("turned_away")]
    assert refused["round"] == 3
    assert "fedmce server readmit cedar" in refused["turned_away"][0]
    assert played.rounds[4]["joined"] == ["cedar"]
    assert played.rounds[5]["sites"]["cedar"]["verdict"] == "accepted"


def test_a_site_that_could_not_introduce_itself_is_asked_at_once_when_it_is_readmitted(
    made: FederatedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken(tmp_path, monkeypatch)
    is_mended: list[bool] = []

    def script(site: str, number: int, kind: str) -> Act:
        fails = site == "cedar" and kind == "query.profile" and not is_mended
        return Act(error=number_of("data_invalid") if fails else None)

    def prepare(grid: ScriptedGrid) -> None:
        def mend(_: ScriptedGrid) -> None:
            is_mended.append(True)

        def readmit(_: ScriptedGrid) -> None:
            leave_word(tmp_path, "readmit", "cedar")

        grid.hooks |= {2: mend, 4: readmit}

    config = made_config(rounds=6, evaluate_every=6, exchange__wait_sites_s=60.0)
    played = play(config, made, tmp_path, script, prepare=prepare)
    assert played.error is None
    assert played.asked("cedar") == [5, 6]


def test_the_audit_log_says_what_an_operator_said() -> None:
    class Log(list[tuple[str, str]]):
        def write(self, kind: str, *, round: int, site: str = "", **_: object) -> None:
            self.append((kind, site))

    log = Log()
    told = [{"word": "readmit", "site": "ash"}, {"word": "revoke", "site": "birch"}]
    chronicle = Chronicle(log)  # type: ignore[arg-type]
    chronicle.take({"event": "round", "round": 3, "sites": {}, "void": False, "operator": told}, {})
    assert log == [("readmit", "ash"), ("key_revoke", "birch")]
