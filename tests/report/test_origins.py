"""What the report says of where weights come from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedmce.report.ledger import weights
from fedmce.report.origins import origin_finding, origins
from fedmce.report.story import Story

WEIGHTS = {"encoder.a": {"x": 0.5, "y": 0.5}, "fusion": {"x": 0.5, "y": 0.5}}


def story(row: dict[str, Any], weighting: str = "contribution") -> Story:
    start = {"sites": ["x", "y"], "modalities": ["a"], "metric": "accuracy"}
    config = f"aggregation:\n  weighting: {weighting}\n"
    return Story(Path("."), start, rounds=[{"round": 1, "weights": WEIGHTS} | row], config=config)


def claim(claimed: float | None, used: float, source: str = "received") -> dict[str, Any]:
    return {"a": {"claimed": claimed, "used": used, "source": source}}


def test_the_table_of_weights_says_what_each_component_rests_on() -> None:
    table = weights(story({"claims": {"x": claim(1.0, 1.0), "y": claim(None, 1.0, "mean")}}))
    assert table is not None
    assert table.head[-1] == "weights rest on"
    assert {row[0]: row[-1] for row in table.rows} == {
        "encoder.a": "rows x the site's claim, from its training rows and the others' mean",
        "fusion": "rows",
    }


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("server", "rows x what the server measured"),
        ("heldout", "rows x the site's claim, from rows that it held out"),
        ("earlier", "rows x the site's claim of earlier rounds"),
    ],
)
def test_each_source_has_its_words(source: str, words: str) -> None:
    assert origins(story({"claims": {"x": claim(1.0, 1.0, source)}}))["encoder.a"] == words
    assert words.removeprefix("rows x ") in origin_finding(story({"claims": {"x": claim(1.0, 1.0, source)}}))


def test_other_weightings_have_theirs() -> None:
    assert set(origins(story({"claims": {}}, "samples")).values()) == {"rows"}
    assert set(origins(story({"claims": {}}, "uniform")).values()) == {"an equal part each"}
    entropy = {"x": claim(2.0, 2.0, "entropy")}
    assert origins(story({"claims": entropy}, "inverse_entropy"))["encoder.a"].startswith("one over the entropy")
    assert "itself reports" in origin_finding(story({"claims": entropy}, "inverse_entropy"))


def test_claims_that_were_cut_and_shares_at_their_cap_are_named() -> None:
    text = origin_finding(
        story(
            {
                "claims": {"x": claim(1.0, 0.4), "y": claim(0.3, 0.3)},
                "robust": {"encoder.a": {"capped": {"x": 0.9}}},
            }
        )
    )
    assert "Claims cut to what the other holders' claims allow: x (a)." in text
    assert "At the largest share that a site may have: x." in text
    quiet = origin_finding(story({"claims": {"x": claim(1.0, 1.0)}}))
    assert "cut" not in quiet
    assert "largest share" not in quiet


def test_votes_are_called_votes_and_what_was_shortened_is_named() -> None:
    robust = {"encoder.a": {"rule": "clip_median", "cut": {"y": 0.2}}, "fusion": {"rule": "clip_median", "cut": {}}}
    told = story({"claims": {"x": claim(1.0, 1.0)}, "robust": robust})
    assert set(origins(told).values()) == {"one vote each (clip_median)"}
    text = origin_finding(told)
    assert text == (
        "Every holder of a component has one vote, whatever its rows and claims. "
        "2 components joined by clip_median; changes shortened of y."
    )
    robust["fusion"] = {"rule": "clip", "cut": {}}
    mixed = origin_finding(story({"claims": {"x": claim(1.0, 1.0)}, "robust": robust}))
    assert mixed.startswith("Every holder has one vote in 1 component; elsewhere weights rest on the rows")


def test_older_records_say_nothing_of_it() -> None:
    old = story({})
    table = weights(old)
    assert table is not None
    assert table.head[-1] == "y"
    assert (origins(old), origin_finding(old)) == ({}, "")
    assert origin_finding(Story(Path("."), old.start, rounds=old.rounds, config="")) == ""
