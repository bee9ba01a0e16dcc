"""P03, P04, P15, P17: what a site's numbers tell of how many rows it has, and what reaches other sites of them."""

from __future__ import annotations

import struct
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import client.measured
from fedmce.contributions import Tally
from fedmce.flower_compat import arrays_of
from fedmce.subsets import pattern_codes
from fedmce.wire import MODEL, ORDER, STATISTICS
from tests.privacy.made import (
    IMAGE,
    SOUND,
    counts_of,
    floored_config,
    floored_dataset,
    make,
    quiet,
    run_recorded,
    with_rows,
)
from tests.server.made import made_dataset


def profile_of(dump: Any, site: str) -> dict[str, Any]:
    (said,) = dump.grid.of(site, "query.profile")
    report: dict[str, Any] = said.report
    return report


def test_P03_small_patterns_are_merged_and_cannot_be_found_by_subtraction(tmp_path: Path) -> None:
    """ash: 143 rows of everything, 20 without blood; of those 6 without sound and 7 without image as well."""
    ash = make("ash")
    rows = np.flatnonzero((ash.split == "train") & ~ash.available[:, 2])
    ash.available[rows[:6], SOUND] = ash.available[rows[6:13], IMAGE] = False
    ash.features["sound"][rows[:6]] = ash.features["image"][rows[6:13]] = np.nan
    dump = run_recorded(
        floored_config(rounds=1), made_dataset(ash, *list(floored_dataset().sites.values())[1:]), tmp_path
    )
    assert dump.error is None
    said = profile_of(dump, "ash")
    told = dict(zip(said["train.patterns"], said["train.pattern_rows"], strict=True))
    train = ash.available[ash.split == "train"]
    true = dict(zip(*(part.tolist() for part in np.unique(pattern_codes(train), return_counts=True)), strict=True))
    assert sorted(true.values()) == [6, 7, 8, 142]
    assert told == {0b111: 140}, "every pattern of fewer than 10 rows is out"
    assert said["train.other"] == 20, "together they are enough to be counted"
    assert said["rows"] == 140 + 20, "totals are made of what is told, not rounded by themselves"
    held = [said["rows_by_modality"][bit] - 140 for bit in range(3)]
    assert held == [10, 15, 0], "image 14 and sound 15 of the merged rows; blood none"
    for said in dump.grid.of("ash", "train"):
        assert set(said.report["value.pattern"]) == {0b111}, "no cell of a merged pattern, not even its hits"
        assert set(said.report["value.rows"]) == set(said.report["share.rows"]) == {140}


def test_P03_rows_of_merged_patterns_count_in_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a share cell, which is over a told and a merged pattern of one size, less the value cells tells the few."""
    ash = make("ash")
    whole = np.flatnonzero((ash.split == "train") & ash.available.all(axis=1))
    ash.available[whole[:7], SOUND] = False  # image+blood on 7 rows, beside image+sound on those without blood
    ash.features["sound"][whole[:7]] = np.nan
    without_blood = int(((ash.split == "train") & ~ash.available[:, 2]).sum())
    assert without_blood >= 10
    measured: list[Tally] = []
    honest = client.measured.told_tally

    def spy(tally: Tally, *rest: Any) -> Tally:
        measured.append(tally)
        return honest(tally, *rest)

    monkeypatch.setattr(client.measured, "told_tally", spy)
    run_recorded(floored_config(rounds=1), made_dataset(ash, *list(floored_dataset().sites.values())[1:]), tmp_path)
    (mine,) = (tally for tally in measured[:1])
    assert mine.shares.cells[IMAGE, 2][2] == without_blood, "not the 7 rows with blood as well"
    assert (2, 2) not in mine.shares.cells
    assert mine.values is not None
    assert set(mine.values.patterns()) == {0b011, 0b111}


@pytest.mark.parametrize("source", ["received", "heldout"])
def test_P04_every_count_is_a_multiple_of_5_from_10_on_and_the_same_in_every_round(tmp_path: Path, source: str) -> None:
    dump = run_recorded(floored_config(contributions__source=source, rounds=3), floored_dataset(), tmp_path)
    assert dump.error is None
    seen: dict[tuple[str, str, str], set[tuple[int, ...]]] = defaultdict(set)
    counted = 0
    for said in dump.grid.said:
        named: dict[str, list[int]] = defaultdict(list)
        for name, count in counts_of(said.report):
            assert count % 5 == 0, (name, count)
            assert count == 0 or count >= 10, (name, count)
            named[name].append(count)
            counted += 1
        for name, counts in named.items():
            seen[said.site, said.kind if "test." in name else "any", name].add(tuple(counts))
    assert counted > 500
    # Columns of scores are as long as there are subsets with enough rows, which rounds do not change either.
    changing = {key for key, found in seen.items() if len(found) > 1 and not key[2].startswith("score.")}
    assert changing == set(), "a count that changes tells a row"


def test_P04_claims_scores_and_losses_are_coarse(tmp_path: Path) -> None:
    dump = run_recorded(floored_config(), floored_dataset(), tmp_path)
    coarse = 0
    for said in dump.grid.said:
        report = said.report
        for table in ("value", "share"):
            for total, rows in zip(report.get(f"{table}.total", []), report.get(f"{table}.rows", []), strict=True):
                assert total / rows == pytest.approx(round(total / rows, 2), abs=1e-9)
                coarse += 1
        for name in (n for n in report if n.startswith("loss.")):
            assert report[name] == round(report[name], 3)
        for name in (n for n in report if n.startswith("score.") and n.endswith(".total")):
            for total, rows in zip(report[name], report[name.replace(".total", ".count")], strict=True):
                assert rows >= 30, "32 rows, rounded down"
                assert total / rows == pytest.approx(round(total / rows, 3), abs=1e-9)
                coarse += 1
        for name in ("train_s", "evaluate_s"):
            if name in report:
                assert report[name] % 0.5 == 0, "multiples of exchange.poll_s: exact times tell rows"
    assert coarse > 100


def test_P04_the_steps_of_a_training_follow_from_the_told_rows(tmp_path: Path) -> None:
    dump = run_recorded(floored_config(training__batch_size=9), floored_dataset(), tmp_path)
    # 163 rows make 19 steps of 9, 160 told ones 18.
    assert {said.report["steps"] for said in dump.grid.of("ash", "train")} == {18}


def test_P15_replies_to_the_same_grant_have_the_same_size(tmp_path: Path) -> None:
    """ash and cedar are given the same components; their rows, patterns and what is held back differ."""
    dump = run_recorded(floored_config(), floored_dataset(), tmp_path)
    by_kind: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
    numbers: dict[str, set[int]] = defaultdict(set)
    for said in dump.grid.said:
        by_kind[said.kind, said.round][said.site] = len(said.bytes_up)
        numbers[said.site].add(sum(len(v) if isinstance(v, list) else 1 for v in said.report.values()))
    assert numbers["ash"] != numbers["cedar"], "they do not say equally much"
    for sizes in by_kind.values():
        assert sizes["ash"] == sizes["cedar"]


def test_P17_nothing_of_one_site_s_numbers_reaches_another(tmp_path: Path) -> None:
    """cedar alone holds sound, on 77 rows; with counts told exactly, 77 is nowhere in what the others get."""
    others = [with_rows(make(name), SOUND, 0) for name in ("ash", "birch", "dale")]
    dataset = made_dataset(*others, with_rows(make("cedar"), SOUND, 77))
    dump = run_recorded(floored_config(quiet(count_step=1)), dataset, tmp_path)
    assert dump.error is None
    told: set[float] = set()
    for said in dump.grid.of("cedar"):
        for name, value in said.report.items():
            if (
                name.startswith(("value.", "share.", "loss.", "score.", "rows."))
                and name.rpartition(".")[2] != "subset"
            ):
                told |= {float(x) for x in (value if isinstance(value, list) else [value])}
    assert 77.0 in told
    common = {0.0, 1.0, 2.0, 163.0, 47.0}  # every site has these
    marks = {struct.pack("<d", value) for value in told if value not in common and not value.is_integer()}
    assert len(marks) > 20
    reached = 0
    for said in (s for s in dump.grid.said if s.site != "cedar" and s.kind != "query.profile"):
        data = said.bytes_down
        reached += len(data)
        assert not [mark for mark in marks if mark in data]
        order = dict(said.down.content.config_records[ORDER])
        assert 77 not in order["all_rows_by_modality"]
        # Who only scores test rows is given every component, since its rows may hold anything.
        if not order["test"]:
            assert not [key for key in arrays_of(said.down.content.array_records[MODEL]) if ".sound/" in key]
            assert not [
                key for key in arrays_of(said.down.content.array_records[STATISTICS]) if key.startswith("sound")
            ]
    assert reached > 100_000
