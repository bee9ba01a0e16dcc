"""F10, G22, L09: whatever is done to an audit log afterwards, verification names the first line that was touched."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fedmce.audit import KINDS, AuditLog, Head, Verdict, heads_in_ledger, judge, seal, verify
from fedmce.audit.line import FIRST
from fedmce.errors import StateError

SITES = ("ash", "birch", "cedar")


def made_log(path: Path, rounds: int = 4) -> Head:
    """A log of a few rounds; its head."""
    log = AuditLog(path, boot="b1")
    log.write("run_start", run="r1", plan="p1")
    for number in range(1, rounds + 1):
        for site in SITES:
            log.write("reply", round=number, site=site, verdict="accepted", seconds=0.25 * number)
        log.write("commit", round=number, manifest="m" * 64)
    log.sync()
    assert log.head is not None
    return log.head


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    made_log(path)
    return path


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def problem_line(path: Path, head: Head | None = None) -> int:
    problem = verify(path, heads=[head] if head else []).problem
    assert problem is not None, "the edit was not found"
    return problem.line


def test_F10_an_untouched_log_is_sound_and_ends_at_its_head(log: Path) -> None:
    verdict = verify(log)
    assert verdict.is_whole
    assert (verdict.lines, verdict.committed, verdict.first) == (17, 4, {"run": "r1", "plan": "p1"})
    assert verdict.size == log.stat().st_size


def test_F10_an_edited_line_is_named(log: Path) -> None:
    for number, line in enumerate(lines_of(log), start=1):
        whole = lines_of(log)
        whole[number - 1] = line.replace(b'"t_wall":', b'"t_wall":1')
        assert judge(whole).problem is not None
        assert judge(whole).problem.line == number  # type: ignore[union-attr]


def test_F10_a_removed_line_is_named_by_its_place(log: Path) -> None:
    whole = lines_of(log)
    for number in range(1, len(whole)):
        assert judge(whole[: number - 1] + whole[number:]).problem.line == number  # type: ignore[union-attr]


def test_F10_two_swapped_lines_are_named_by_the_first(log: Path) -> None:
    whole = lines_of(log)
    for number in range(1, len(whole)):
        swapped = whole.copy()
        swapped[number - 1], swapped[number] = swapped[number], swapped[number - 1]
        assert judge(swapped).problem.line == number  # type: ignore[union-attr]


def test_F10_a_cut_tail_is_found_by_a_head_that_somebody_kept(log: Path) -> None:
    head, whole = verify(log).head, lines_of(log)
    assert head is not None
    log.write_bytes(b"".join(whole[:10]))
    assert verify(log).is_whole, "nothing in the file itself can tell"
    assert problem_line(log, head) == 11


def test_F10_a_log_rewritten_with_fitting_hashes_is_found_by_the_ledger_of_one_site(log: Path, tmp_path: Path) -> None:
    seen = verify(log).head
    prev, forged = FIRST, []
    for line in lines_of(log):
        rest = {key: value for key, value in json.loads(line).items() if key not in ("h", "prev")}
        if rest["seq"] == 6:
            rest["data"] = {"verdict": "refused"}
        sealed, prev = seal(prev, rest)
        forged.append(sealed)
    log.write_bytes(b"".join(forged))
    assert verify(log).is_whole
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text(json.dumps({"round": 4, "audit_head": str(seen)}) + '\n{"half": ', encoding="utf-8")
    problem = verify(log, ledger).problem
    assert problem is not None
    assert (problem.line, "rewritten" in problem.what) == (17, True)


def test_F10_a_line_cut_in_the_middle_is_named(log: Path) -> None:
    log.write_bytes(log.read_bytes()[:-1])
    assert problem_line(log) == 17


def edited(data: bytes, draw: random.Random) -> bytes:
    """One edit that changes the bytes."""
    whole = data.splitlines(keepends=True)
    at, other = draw.randrange(len(whole)), draw.randrange(len(whole))
    place = draw.randrange(len(data))
    kind = draw.choice(
        ["flip", "byte", "remove", "swap", "double", "insert", "cut lines", "cut bytes", "delete", "space"]
    )
    if kind == "flip":
        return data[:place] + bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]
    if kind == "byte":
        return data[:place] + bytes([draw.randrange(256)]) + data[place + 1 :]
    if kind == "delete":
        return data[:place] + data[place + draw.randrange(1, 40) :]
    if kind == "space":
        return data[:place] + b" " + data[place:]
    if kind == "cut bytes":
        return data[:place]
    if kind == "cut lines":
        return b"".join(whole[:at])
    if kind == "remove":
        del whole[at]
    elif kind == "swap":
        whole[at], whole[other] = whole[other], whole[at]
    elif kind == "double":
        whole.insert(at, whole[at])
    else:
        rest = {key: value for key, value in json.loads(whole[at]).items() if key not in ("h", "prev")}
        whole.insert(at, seal(json.loads(whole[at])["prev"], rest)[0])
    return b"".join(whole)


def test_F10_all_of_1000_random_edits_are_found(log: Path) -> None:
    """G22; the head is the one that the last committed round keeps."""
    data, head, draw = log.read_bytes(), verify(log).head, random.Random(10)
    assert head is not None
    missed, done = 0, 0
    while done < 1000:
        changed = edited(data, draw)
        if changed == data:
            continue
        done += 1
        missed += judge(changed.splitlines(keepends=True), [head]).is_whole
    assert missed == 0


def test_F10_a_log_goes_on_from_its_verified_head_only(log: Path) -> None:
    with pytest.raises(StateError, match="there already"):
        AuditLog(log)
    on = AuditLog(log, verify(log).head, boot="b2")
    on.write("resume", round=4)
    assert verify(log).lines == 18


def test_F10_unknown_kinds_are_not_written(tmp_path: Path) -> None:
    log = AuditLog(tmp_path / "a.jsonl")
    with pytest.raises(StateError, match="needed run_start"):
        log.write("commit", round=1)
    log.write("run_start")
    with pytest.raises(StateError, match="kind 'comit'"):
        log.write("comit", round=1)
    assert {"reply", "rollback", "dp_spend"} < KINDS


def test_F10_numbers_that_json_cannot_hold_do_not_end_a_run(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    AuditLog(path).write("run_start", loss=float("nan"), path=path, few=(1, 2))
    assert verify(path).first == {"loss": None, "path": str(path), "few": [1, 2]}


def test_F11_a_step_of_the_clock_shows_between_two_lines(tmp_path: Path) -> None:
    class Clock:
        now = 1_700_000_000.0

        def time(self) -> float:
            return self.now

        def monotonic(self) -> float:
            return 50.0

    clock = Clock()
    log = AuditLog(tmp_path / "a.jsonl", clock=clock)
    log.write("run_start")
    clock.now += 3600
    log.write("plan")
    first, second = (json.loads(line) for line in lines_of(tmp_path / "a.jsonl"))
    assert (second["t_wall"] - first["t_wall"], second["t_mono"] - first["t_mono"]) == (3600, 0)
    assert verify(tmp_path / "a.jsonl").is_whole


def test_F10_a_malformed_head_in_a_ledger_is_refused_by_name(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    ledger.write_text('{"audit_head": "12"}\n', encoding="utf-8")
    with pytest.raises(StateError, match="audit head: given '12'"):
        heads_in_ledger(ledger)


def test_F10_the_command_names_the_line_and_leaves_with_5(log: Path, tmp_path: Path) -> None:
    state = tmp_path / "run" / "state"
    (state / "log").mkdir(parents=True)
    (state / "rounds" / "000004").mkdir(parents=True)
    (state / "log" / "audit.jsonl").write_bytes(log.read_bytes())
    facts = {"round": 4, "audit": str(verify(log).head)}
    (state / "rounds" / "000004" / "round.json").write_text(json.dumps(facts), encoding="utf-8")
    good = audit_verify(tmp_path / "run")
    assert (good.returncode, "17 line(s) sound, agrees with 1 committed round(s)" in good.stdout) == (0, True), (
        good.stderr
    )
    (state / "log" / "audit.jsonl").write_bytes(b"".join(lines_of(log)[:12]))
    cut = audit_verify(state / "log" / "audit.jsonl")
    assert (cut.returncode, "line 13: the log ends here" in cut.stderr) == (5, True), cut.stderr


def audit_verify(path: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fedmce", "audit", "verify", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_L09_a_log_of_a_million_lines_is_verified_in_half_a_minute(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    prev, chunk = FIRST, []
    with path.open("wb") as file:
        for seq in range(1_000_000):
            rest = {
                "boot": "b",
                "data": {"verdict": "accepted", "digest": "d" * 32},
                "kind": "reply" if seq else "run_start",
            }
            line, prev = seal(prev, rest | {"round": seq // 8, "seq": seq, "site": "ash", "t_mono": 1.5, "t_wall": 2.5})
            chunk.append(line)
            if len(chunk) == 10_000:
                file.writelines(chunk)
                chunk.clear()
    began = time.process_time()
    verdict: Verdict = verify(path)
    seconds = time.process_time() - began
    assert (verdict.is_whole, verdict.lines) == (True, 1_000_000)
    print(f"10^6 audit lines verified in {seconds:.1f} s of processor time")
    assert seconds < 30
