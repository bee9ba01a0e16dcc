"""Group N, and what of T belongs to the network, between real processes: one federation, a fault of its own per round.

The story is in ``network_story.py``; here it is judged. Losses below TCP reach a proxy, and Flower, as delays; so they are
made as delays.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import psutil
import pytest

from fedmce.audit import verify
from tests.faults.federation import PATIENCE, model_of
from tests.faults.network_story import (
    DEADLINE_S,
    HARMLESS,
    HARMLESS_TWICE,
    LAST_PARTED,
    LEAST_CLOSED_S,
    LOSSY,
    MOVED,
    NGINX,
    PARTED,
    RENEWED,
    REPEATED,
    REVERSED,
    SITES,
    SLOW,
    Story,
    has_ipv6,
    tell,
)

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900 * PATIENCE)]

LOST = ("late", "transport")  # Flower answers for a node whose heartbeat fails


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return tell(tmp_path_factory.mktemp("n") / "f")


def all_accepted(story: Story, number: int) -> bool:
    return [story.verdict(number, site) for site in SITES] == ["accepted"] * len(SITES)


def test_N03_N06_N08_what_is_late_repeated_or_out_of_order_changes_no_bit(story: Story, tmp_path: Path) -> None:
    """The same model bytes after seven rounds as in one process, where nothing is ever lost."""
    assert all(all_accepted(story, number) for number in range(1, HARMLESS + 1))
    simulated = story.f.simulated(tmp_path / "simulated", f"rounds={HARMLESS}")
    assert story.model == model_of(simulated, HARMLESS)


def test_N03_losses_and_delays_cost_no_reply(story: Story) -> None:
    assert all_accepted(story, SLOW)


def test_N08_replies_are_let_on_in_the_opposite_order(story: Story) -> None:
    assert len(story.seen["came"]) == len(SITES)
    assert story.seen["let on"] == story.seen["came"][::-1]
    assert all_accepted(story, REVERSED)


def test_N06_a_request_that_arrives_twice_counts_once(story: Story) -> None:
    """Both kinds: the network repeats a call, and the site repeats one whose answer was lost.

    One call Flower does not always take twice: the announcement of a reply. If the server has not looked in between, its
    second arrival ends the upload that belongs to the first, and the reply is lost: the site is late, and nothing of it is
    counted.
    """
    for call in HARMLESS_TWICE:
        assert story.rules[f"N06 {call}"].hits > 0
    for call in ("pull-object", "confirm-message-received"):
        assert story.rules[f"N06 unanswered {call}"].hits == 1
    assert all_accepted(story, REPEATED)
    assert story.rules["N06 announced twice"].hits == 1
    assert story.verdict(LOSSY, "ash") in LOST
    assert twice(story) == []
    assert "accepted" in story.f.later("ash", LOSSY)


def test_N06_a_round_of_which_every_reply_is_lost_leaves_the_model_as_it_was(story: Story) -> None:
    assert story.rows[LOSSY]["void"]
    assert story.seen["model after"] == story.model
    assert not any(row["void"] for number, row in story.rows.items() if number != LOSSY)


def twice(story: Story) -> list[tuple[int, str]]:
    """Rounds and sites of which two replies were judged."""
    judged = Counter((line["round"], line["site"]) for line in story.f.audit("reply") if line["round"])
    return [key for key, count in judged.items() if count > 1]


def test_N02_a_connection_that_ends_within_a_call_leaves_no_half_update(story: Story) -> None:
    """Flower repeats the call, so that the reply is whole; nothing of it is taken before all of it is there."""
    for what, hits in (("push", 3), ("message", 1), ("pull", 2)):
        assert story.rules[f"N02 {what}"].hits == hits
    assert story.verdict(REPEATED, "cedar") == "accepted"


def test_N11_what_a_proxy_answers_is_not_taken_for_the_server(story: Story) -> None:
    """502, 503 and 504 are tried again. After 413 the reply is lost: the site is late, by name, and comes back.

    A page with status 200 ends Flower's node, which ``client join`` starts again.
    """
    for status in (502, 503, 504):
        assert all(story.rules[f"N11 {status} {call}"].hits == 1 for call in ("pull-messages", "push-messages"))
    assert story.verdict(REPEATED, "dale") == "accepted"
    assert story.rules["N11 413"].hits > 0
    assert story.verdict(LOSSY, "cedar") in LOST
    assert story.rules["N11 page"].hits == 1
    assert "Accept the terms" not in story.f.site("ash").log + story.f.server.log
    last = max(number for number, how in story.f.verdicts("ash").items() if how == "accepted")
    assert last > story.seen["healed after"]


def test_N01_a_port_that_closes_for_a_while_ends_nothing(story: Story) -> None:
    """Six seconds within a round, and a minute at cedar, over the whole partition."""
    assert story.verdict(MOVED, "ash") == "accepted"
    assert story.seen["closed for"] > LEAST_CLOSED_S
    assert "accepted" in story.f.later("cedar", story.seen["healed after"])


def test_N04_a_slow_line_is_in_time_and_a_far_too_slow_one_late(story: Story) -> None:
    assert story.verdict(MOVED, "birch") == "accepted"
    assert story.rules["N04 alive"].hits > 0
    assert story.verdict(LOSSY, "birch") == "late"
    assert_on_time(story, LOSSY)
    assert "accepted" in story.f.later("birch", LOSSY)


def assert_on_time(story: Story, number: int) -> None:
    """The round ended at its deadline; half a minute for a machine that is busy otherwise."""
    assert DEADLINE_S - 1 <= story.rows[number]["timing"]["wait_s"] <= DEADLINE_S + 30


def test_N05_a_black_hole_costs_one_deadline(story: Story) -> None:
    """Calls are taken and never answered; no other round waits for that site."""
    assert story.verdict(LOSSY, "dale") in LOST
    assert_on_time(story, LOSSY)
    for number in (PARTED, LAST_PARTED):
        assert story.verdict(number, "dale") == ""
        assert story.rows[number]["timing"]["wait_s"] < DEADLINE_S


def test_N07_a_reply_of_an_earlier_round_that_arrives_now_is_never_counted(story: Story) -> None:
    """It is not even refused as ``wrong_round``: the server asks for replies by message, and for this one no longer."""
    assert story.rules["N07 held"].hits > 0
    assert story.verdict(LOSSY, "dale") in LOST
    assert twice(story) == []
    strays = [stray for row in story.f.rows("round") for stray in row.get("strays", [])]
    assert all(stray["reason"] in ("wrong_round", "duplicate", "late") for stray in strays)
    assert "accepted" in story.f.later("dale", story.seen["healed after"])


def test_N17_two_of_four_are_cut_off_for_three_rounds_and_come_back(story: Story) -> None:
    for number in (PARTED, LAST_PARTED):
        assert "accepted" in [site["verdict"] for site in story.rows[number]["sites"].values()]
    for number in (PARTED, LAST_PARTED):
        assert story.verdict(number, "cedar") == story.verdict(number, "dale") == ""
    for site in ("cedar", "dale"):
        assert "accepted" in story.f.later(site, story.seen["healed after"])


def test_N09_a_name_that_fails_is_tried_again_until_it_resolves(story: Story) -> None:
    """Before the site joins, in words; and in a round."""
    assert "its name is not known here" in story.f.site("dale").log
    assert story.verdict(1, "dale") == "accepted"
    assert story.seen["dale in the dark"] == 0
    assert story.seen["moved"]["dale"] > 0
    assert story.verdict(MOVED, "dale") == "accepted"


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
def test_N10_a_server_that_has_an_address_of_ipv6_alone_is_reached(story: Story) -> None:
    assert story.seen["moved"]["cedar"] > 0
    assert story.verdict(MOVED, "cedar") == "accepted"


def test_N16_a_server_that_moves_is_found_by_its_name(story: Story) -> None:
    assert story.seen["moved"]["birch"] > 0
    assert story.verdict(MOVED, "birch") == "accepted"


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed (Debian: nginx-light)")
def test_T18_no_round_is_lost_while_the_certificate_is_replaced(story: Story) -> None:
    before, after = story.seen["serials"]
    assert before != after
    assert story.seen["reloads"] >= 2
    assert all_accepted(story, RENEWED)


def test_N14_a_thousand_random_bodies_end_nothing(story: Story) -> None:
    """Half of them under a signature that was overheard. 4xx or 5xx, and none of them does anything to the round."""
    found = story.seen["garbage"]
    assert sum(found.values()) == 1000
    assert found[0] == 0  # always an answer
    assert sum(count for status, count in found.items() if 400 <= status < 600) >= 900, found
    assert all_accepted(story, HARMLESS)


def test_N15_sites_are_served_beside_idle_connections(story: Story) -> None:
    """200 at nginx, which ends them after 20 s, and 200 at the SuperLink, which keeps them for some seconds."""
    assert "idle" in story.seen
    assert all_accepted(story, HARMLESS)


def test_T14_what_was_overheard_and_is_sent_again_counts_for_nothing(story: Story) -> None:
    """Flower takes the signature for five minutes. Calls that would rob the site of a message are left out: see the docs."""
    found = story.seen["replayed"]
    assert sum(found["push-object"].values()) > 0
    assert sum(found["push-messages"].values()) > 0
    assert twice(story) == []
    assert all_accepted(story, HARMLESS)
    verify(story.f.run / "state" / "log" / "audit.jsonl")


def test_T01_a_node_without_tls_gets_nowhere_and_nobody_is_disturbed(story: Story) -> None:
    """Flower's own node says nothing but that it tries again; ours cannot be told to go without TLS."""
    plain = story.seen["plain"]
    assert "Activated" not in plain["log"]
    assert "SuperNode ID" not in plain["log"]
    assert "retrying" in plain["log"] or not plain["alive"], plain


def test_nothing_of_it_runs_any_more(story: Story) -> None:
    mark = str(story.f.folder)
    left = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if mark in " ".join(p.info["cmdline"] or [])]
    assert left == []


def test_the_run_can_go_on(story: Story) -> None:
    """SIGTERM at the end left the last committed round, and the record says how it ended."""
    assert story.f.server.exit_code in (0, 130)
    ends = story.f.rows("end")
    assert json.dumps(ends[-1:])
