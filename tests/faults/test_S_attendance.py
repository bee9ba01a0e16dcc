"""Whom a round asks: what an absent, a failing and a hostile site cost the others (reliability.md 4.2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedmce.config.schema import ExchangeConfig
from server.attendance import EXPELLED_AFTER, LONGEST_BENCH, Attendance, Conduct, Standing

SITES = ("a", "b", "c", "d", "e")


def exchange(**given_: object) -> ExchangeConfig:
    return ExchangeConfig.model_validate(given_)


def deadlines_missed(rounds: int, conduct: Callable[[int], Conduct], *, answers_probes: bool, seed: int = 0) -> int:
    """Rounds that ran into their deadline because of site ``a``."""
    standing, missed = Attendance(seed), 0
    for number in range(1, rounds + 1):
        asked = standing.ask(number, SITES, exchange())
        how: dict[str, Conduct] = dict.fromkeys(asked, "good")
        if "a" in asked:
            how["a"] = conduct(number)
            missed += how["a"] == "late"
        standing = standing.after(number, how)
        if answers_probes and "a" in standing.suspects:
            standing = standing.answered_probe("a")
    return missed


def test_S10_a_dead_site_costs_one_deadline() -> None:
    assert deadlines_missed(50, lambda _: "late", answers_probes=False) == 1


@pytest.mark.parametrize("seed", range(20))
def test_S10_a_site_that_always_hangs_costs_six_deadlines_in_50_rounds_and_nine_in_100(seed: int) -> None:
    assert 5 <= deadlines_missed(50, lambda _: "late", answers_probes=True, seed=seed) <= 6
    assert deadlines_missed(100, lambda _: "late", answers_probes=True, seed=seed) <= 9


def test_S10_a_site_that_recovers_is_asked_again_and_its_strikes_decay() -> None:
    standing = Attendance()
    for number in (1, 3, 6):
        standing = standing.after(number, {"a": "late"}).answered_probe("a")
    assert standing.of("a").strikes == 3
    worked = [n for n in range(7, 30) if standing.may_work("a", n)]
    assert worked
    assert worked[0] <= 12
    for number in worked[:2]:
        standing = standing.after(number, {"a": "good"})
    assert standing.of("a").strikes == 0
    assert standing.after(worked[2], {"a": "late"}).of("a").bench_until == worked[2] + 1


def test_S11_benching_never_leaves_fewer_than_a_round_needs() -> None:
    standing = Attendance()
    for number in range(1, 4):
        standing = standing.after(number, {"a": "failed", "b": "failed", "c": "failed"})
    standing = standing.after(4, {"b": "failed", "c": "content"})
    # Five are there, three are needed, two may work: the least guilty of the benched comes back.
    assert standing.ask(5, SITES, exchange(accept_min=3)) == ("a", "d", "e")
    assert standing.ask(5, SITES, exchange(accept_min=None)) == ("a", "d", "e")
    assert standing.ask(5, SITES, exchange(accept_min=2)) == ("d", "e")


def test_S11_silent_and_expelled_sites_are_not_called_back() -> None:
    standing = Attendance(0, {"a": Standing(suspect=True), "b": Standing(expelled=True)})
    assert standing.ask(1, SITES, exchange(accept_min=5)) == ("c", "d", "e")


def test_S12_over_selection_asks_more_than_the_goal_and_holds_nothing_against_the_surplus() -> None:
    crowd = [f"site-{n:02}" for n in range(30)]
    asked = Attendance(7).ask(1, crowd, exchange(goal=10))
    assert len(asked) == 13
    assert list(asked) == sorted(asked)
    assert asked == Attendance(7).ask(1, list(reversed(crowd)), exchange(goal=10))
    assert asked != Attendance(7).ask(2, crowd, exchange(goal=10))
    how: dict[str, Conduct] = dict.fromkeys(asked[:10], "good") | dict.fromkeys(asked[10:], "surplus")
    standing = Attendance(7).after(1, how)
    assert all(standing.may_work(site, 2) for site in crowd)


def test_S12_up_to_twenty_sites_are_all_asked() -> None:
    assert Attendance().ask(1, SITES, exchange(goal=2)) == SITES
    assert len(Attendance().ask(1, SITES, exchange(goal=2, over_select=1.5))) == 3


def test_six_refused_replies_expel_a_site_until_it_is_readmitted() -> None:
    standing = Attendance()
    for number in range(EXPELLED_AFTER):
        assert not standing.of("a").expelled
        standing = standing.after(40 * number, {"a": "content"}).after(40 * number + 39, {"a": "good"})
    assert standing.of("a").expelled
    assert "a" not in standing.ask(10_000, SITES, exchange())
    assert "a" in standing.readmitted("a").ask(10_000, SITES, exchange())


@given(st.lists(st.sampled_from(["good", "late", "failed", "content", "surplus"]), max_size=60), st.integers(0, 9))
def test_no_history_benches_longer_than_the_cap_or_is_lost_in_the_committed_state(
    how: list[Conduct], seed: int
) -> None:
    standing = Attendance(seed)
    for number, one in enumerate(how, start=1):
        standing = standing.after(number, {"a": one})
        assert standing.of("a").bench_until <= number + LONGEST_BENCH + LONGEST_BENCH // 4
        assert standing.of("a").strikes >= 0
    assert Attendance.from_json(standing.to_json()) == standing
