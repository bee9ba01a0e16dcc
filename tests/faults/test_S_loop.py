"""The round loop against sites that hang, leave, come late and come back (reliability.md 4.2, groups S, C, N, U)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from client.workplace import open_workplace
from fedmce.config.schema import RunConfig
from fedmce.data import FederatedDataset
from fedmce.errors import NetworkError, StoppedError
from fedmce.flower_compat import Message
from server.rounds import LEAST_AUTO_S, Progress
from tests.faults.scripted import Act, Played, ScriptedGrid, play
from tests.server.made import made_config, made_dataset, same_bits, use

TRAIN = "train"


@pytest.fixture(scope="module")
def made() -> Iterator[FederatedDataset]:
    with pytest.MonkeyPatch.context() as patch:
        yield use(patch, made_dataset())
    open_workplace.cache_clear()


def config(rounds: int = 4, **exchange: Any) -> RunConfig:
    """Deployed manners on the made federation: half of those asked make a round."""
    manners = {"accept_min": None, "deadline_s": 100.0, "poll_s": 2.0, "wait_sites_s": 60.0} | exchange
    changes = {f"exchange__{key}": value for key, value in manners.items()}
    return made_config(rounds=rounds, evaluate_every=rounds, **changes)


def only(site: str, act: Act, kind: str = TRAIN, rounds: range = range(1, 1000)) -> Any:
    """A script in which one site misbehaves."""
    return lambda name, number, what: act if name == site and what == kind and number in rounds else Act()


def verdicts(played: Played, site: str) -> list[str]:
    return [row["sites"][site]["verdict"] for row in played.rounds if site in row["sites"]]


def test_the_loop_of_a_deployment_commits_what_the_simulation_commits(made: FederatedDataset, tmp_path: Path) -> None:
    slow = play(config(), made, tmp_path, lambda site, number, kind: Act(after_s=float(len(site) + number)))
    fast_folder = tmp_path / "fast"
    fast_folder.mkdir()
    fast = play(config(), made, fast_folder)
    assert same_bits(slow.strategy.state.model, fast.strategy.state.model)
    assert slow.error is None
    assert slow.clock.now > fast.clock.now


def test_S05_too_few_sites_at_the_start_end_in_bounded_time_and_name_the_missing(
    made: FederatedDataset, tmp_path: Path
) -> None:
    def alone(grid: ScriptedGrid) -> None:
        for name in ("ash", "birch", "cedar"):
            grid.site(name).online = False

    with pytest.raises(NetworkError, match=r"1 of 4 sites came within .*missing: ash, birch, cedar") as caught:
        play(config(), made, tmp_path, prepare=alone)
    assert caught.value.exit_code == 4


def test_S05_sites_that_are_there_and_say_nothing_are_told_from_those_that_are_not(
    made: FederatedDataset, tmp_path: Path
) -> None:
    def mute(site: str, number: int, kind: str) -> Act:
        return Act(after_s=None) if site in ("ash", "dale") and kind == "query.profile" else Act()

    said = r"did not introduce themselves: ash \(asked \d times; a node did not answer in time\), dale \(asked"
    with pytest.raises(NetworkError, match=said) as caught:
        play(
            config(accept_min=3),
            made,
            tmp_path,
            mute,
            prepare=lambda grid: setattr(grid.site("cedar"), "online", False),
        )
    assert "missing: ash, cedar, dale" in str(caught.value)


def test_S05_enough_sites_begin_without_the_others(made: FederatedDataset, tmp_path: Path) -> None:
    played = play(config(2), made, tmp_path, prepare=lambda grid: setattr(grid.site("birch"), "online", False))
    assert played.error is None
    assert played.roster_at_start == ("ash", "cedar", "dale")
    assert played.asked("birch") == []


def test_S06_when_all_leave_rounds_are_void_and_the_run_stops_to_be_resumed(
    made: FederatedDataset, tmp_path: Path
) -> None:
    def leave(grid: ScriptedGrid) -> None:
        for site in grid.sites.values():
            site.online = False

    played = play(config(20, void_limit=3), made, tmp_path, prepare=lambda grid: grid.hooks.update({3: leave}))
    assert isinstance(played.error, StoppedError)
    assert played.error.exit_code == 6
    assert [row["void"] for row in played.rounds] == [False, False, True, True, True]
    assert played.strategy.state.round == 5
    # One deadline for the round they left in, then only the wait for sites to come back.
    assert played.clock.now - played.began <= 100 + 2 * 60 + 20


def test_S07_a_site_that_joins_late_is_profiled_and_trains_from_the_next_round(
    made: FederatedDataset, tmp_path: Path
) -> None:
    def prepare(grid: ScriptedGrid) -> None:
        grid.site("dale").online = False
        grid.hooks[3] = lambda g: setattr(g.site("dale"), "online", True)

    played = play(config(6), made, tmp_path, prepare=prepare)
    assert played.error is None
    assert played.asked("dale") == [4, 5, 6]
    assert [row["joined"] for row in played.rounds] == [[], [], [], ["dale"], [], []]
    assert verdicts(played, "dale") == ["accepted"] * 3


def test_S08_a_site_that_leaves_and_comes_back_has_the_same_row(made: FederatedDataset, tmp_path: Path) -> None:
    def prepare(grid: ScriptedGrid) -> None:
        def go(g: ScriptedGrid) -> None:
            g.site("cedar").online = False
            g.hooks[4] = lambda h: setattr(h.site("cedar"), "online", True)

        grid.hooks[2] = go

    played = play(config(8), made, tmp_path, prepare=prepare)
    assert played.error is None
    assert sum(name == "cedar" and kind == "query.profile" for _, name, kind in played.grid.asked) == 1
    assert verdicts(played, "cedar")[:2] == ["accepted", "late"]
    assert verdicts(played, "cedar")[-1] == "accepted"


def test_S09_a_node_of_another_key_cannot_take_a_name(made: FederatedDataset, tmp_path: Path) -> None:
    def prepare(grid: ScriptedGrid) -> None:
        def swap(g: ScriptedGrid) -> None:
            g.site("cedar").online = False
            node = max(g.sites) + 1
            g.sites[node] = type(g.sites[1])("cedar", b"another key")
            g._contexts[node] = g._contexts[next(n for n, s in g.sites.items() if s.name == "cedar")]

        grid.hooks[2] = swap

    played = play(config(4), made, tmp_path, prepare=prepare)
    assert played.error is None
    assert played.asked("cedar") == [1, 2]
    assert any("another key" in why for why in played.loop._register.known.refused.values())  # type: ignore[union-attr]


def test_C18_a_second_node_of_a_connected_site_is_refused(made: FederatedDataset, tmp_path: Path) -> None:
    def prepare(grid: ScriptedGrid) -> None:
        grid.sites[9] = type(grid.sites[1])("ash", b"ash")
        grid._contexts[9] = grid._contexts[next(n for n, s in grid.sites.items() if s.name == "ash")]

    played = play(config(2), made, tmp_path, prepare=prepare)
    assert played.error is None
    assert list(played.loop._register.known.refused) == [9]  # type: ignore[union-attr]
    assert verdicts(played, "ash") == ["accepted", "accepted"]


def test_a_node_that_was_registered_under_another_name_is_refused(made: FederatedDataset, tmp_path: Path) -> None:
    def prepare(grid: ScriptedGrid) -> None:
        grid.site("birch").name = "beech"

    played = play(config(1, wait_sites_s=10.0), made, tmp_path, prepare=prepare)
    (why,) = played.loop._register.known.refused.values()  # type: ignore[union-attr]
    assert "registered as 'beech' says that it is site 'birch'" in why


def test_S10_a_dead_site_costs_one_deadline_in_the_run(made: FederatedDataset, tmp_path: Path) -> None:
    """Connected for Flower, but nothing comes: neither replies nor probes."""
    played = play(config(12), made, tmp_path, lambda site, n, kind: Act(None) if site == "dale" and n else Act())
    assert played.error is None
    assert played.asked("dale") == [1]
    assert 100 <= played.clock.now - played.began <= 100 + 100 + 12 * 2  # and one for the final scoring
    assert not any(row["void"] for row in played.rounds)


def test_S10_a_site_that_always_hangs_costs_six_deadlines_in_fifty_rounds(
    made: FederatedDataset, tmp_path: Path
) -> None:
    played = play(config(50), made, tmp_path, only("dale", Act(None)))
    assert played.error is None
    assert len(played.asked("dale")) <= 6
    waited = sum(row["timing"]["wait_s"] >= 99 for row in played.rounds)
    assert waited == len(played.asked("dale"))
    assert max(row["timing"]["wait_s"] for row in played.rounds) <= 100 + 2 + 1


def test_S12_a_round_closes_at_its_goal_and_the_surplus_is_not_blamed(made: FederatedDataset, tmp_path: Path) -> None:
    played = play(
        config(4, goal=3, over_select=1.3, accept_min=2, grace_s=0.0), made, tmp_path, only("birch", Act(None))
    )
    assert played.error is None
    assert all(row["timing"]["wait_s"] < 5 for row in played.rounds)
    assert played.asked("birch") == [1, 2, 3, 4]
    assert played.loop.progress.attendance.of("birch").strikes == 0


def test_S13_the_automatic_deadline_follows_the_median_not_an_outlier() -> None:
    exchange = config(1, deadline="auto", deadline_s=900.0).exchange
    progress = Progress()
    for number, seconds in enumerate([40.0, 42.0, 800.0, 41.0, 39.0], start=1):
        progress = progress.after(number, {}, seconds, void=False)
    assert progress.deadline(exchange) == 3 * median([40.0, 42.0, 800.0, 41.0, 39.0])
    assert progress.after(6, {}, 900.0, void=True).durations == progress.durations
    short = Progress(durations=(1.0, 1.0, 1.0))
    assert short.deadline(exchange) == LEAST_AUTO_S
    assert Progress(durations=(800.0,)).deadline(exchange) == 900.0
    assert Progress().deadline(exchange) == 900.0


def test_C21_a_slow_but_honest_site_is_never_benched(made: FederatedDataset, tmp_path: Path) -> None:
    def script(site: str, number: int, kind: str) -> Act:
        return Act(after_s=60.0 if site == "dale" else 20.0)

    played = play(config(10, deadline="auto", deadline_s=300.0), made, tmp_path, script)
    assert played.error is None
    assert verdicts(played, "dale") == ["accepted"] * 10


def test_U43_when_every_reply_is_bad_the_round_is_void_and_the_model_is_as_before(
    made: FederatedDataset, tmp_path: Path
) -> None:
    def spoil(reply: Message) -> Message:
        reply.content.config_records["stamp"]["round"] = 99
        return reply

    played = play(config(1), made, tmp_path, lambda s, n, kind: Act(change=spoil) if kind == TRAIN else Act())
    before = play_first(made, tmp_path / "first")
    assert played.rounds[0]["void"] is True
    assert same_bits(played.strategy.state.model, before)


def test_U44_without_replies_the_round_is_void_after_exactly_the_deadline(
    made: FederatedDataset, tmp_path: Path
) -> None:
    played = play(config(1), made, tmp_path, lambda s, n, kind: Act(None) if kind == TRAIN else Act())
    assert played.rounds[0]["void"] is True
    assert 100 <= played.rounds[0]["timing"]["wait_s"] <= 102


def test_U45_fewer_accepted_than_needed_make_a_void_round(made: FederatedDataset, tmp_path: Path) -> None:
    def script(site: str, number: int, kind: str) -> Act:
        return Act(error=2) if kind == TRAIN and site != "ash" and number == 1 else Act()

    played = play(config(2, accept_min=3), made, tmp_path, script)
    assert [row["void"] for row in played.rounds] == [True, False]


def test_N17_a_partition_of_two_of_four_for_three_rounds_heals(made: FederatedDataset, tmp_path: Path) -> None:
    def script(site: str, number: int, kind: str) -> Act:
        return Act(None) if site in ("ash", "birch") and number in (2, 3, 4) else Act()

    played = play(config(12), made, tmp_path, script)
    assert played.error is None
    assert not any(row["void"] for row in played.rounds)
    assert verdicts(played, "ash")[-1] == verdicts(played, "birch")[-1] == "accepted"
    assert sum(row["timing"]["wait_s"] > 90 for row in played.rounds) <= 2


def test_S08_a_site_that_takes_as_long_to_answer_a_probe_as_a_round_takes_comes_back(
    made: FederatedDataset, tmp_path: Path
) -> None:
    """Between real processes a probe takes some seconds, and so does a round of those that are there."""

    def script(site: str, number: int, kind: str) -> Act:
        if kind == TRAIN:
            return Act(None) if site == "cedar" and number == 2 else Act(after_s=8.0)
        return Act(after_s=11.0 if kind == "query.probe" else 0.0)

    played = play(config(8), made, tmp_path, script)
    assert played.error is None
    assert verdicts(played, "cedar") == ["accepted", "late", *["accepted"] * 4]
    assert len([kind for _, name, kind in played.grid.asked if kind == "query.probe"]) == 1


def test_S14_when_nobody_scores_the_final_model_the_run_still_ends(made: FederatedDataset, tmp_path: Path) -> None:
    played = play(config(2), made, tmp_path, lambda s, n, kind: Act(None) if kind == "evaluate" else Act())
    assert played.error is None
    assert [row["void"] for row in played.rounds] == [False, False]


def test_the_run_budget_stops_the_run_between_rounds(made: FederatedDataset, tmp_path: Path) -> None:
    played = play(config(50, run_budget_s=90.0), made, tmp_path, lambda *_: Act(after_s=20.0))
    assert isinstance(played.error, StoppedError)
    assert played.clock.now - played.began <= 90 + 20 + 2
    assert 2 <= played.strategy.state.round <= 5


def play_first(made: FederatedDataset, folder: Path) -> Any:
    """The model before the first round."""
    from fedmce.networks import spec_for
    from server.state import first_state

    return first_state(config(1), spec_for(made, config(1))).model
