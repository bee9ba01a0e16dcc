"""Laws of the page of one run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from fedmce.errors import DataError
from fedmce.report import draw
from fedmce.report.draw import FIGURES
from fedmce.report.reader import read
from fedmce.report.subset_table import every_subset
from fedmce.report.words import number
from tests.report.made_run import CAUTION, make_run

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$x_1$ & {{ 7*7 }}")


class Page(HTMLParser):
    """Tags with attributes, and the text a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def page_of(run: Path) -> Page:
    return Page((run / "report.html").read_text(encoding="utf-8"))


def numbers_in(tree: Any) -> Iterator[float]:
    if isinstance(tree, dict):
        for value in tree.values():
            yield from numbers_in(value)
    elif isinstance(tree, float):
        yield tree


@pytest.mark.parametrize("name", ["finished", "wide"])
def test_every_score_of_the_result_stands_on_the_page(name: str, request: pytest.FixtureRequest) -> None:
    run: Path = request.getfixturevalue(name)
    result = json.loads((run / "result.json").read_text())
    shown = set(re.findall(r"−?\d+\.\d{3}\b", page_of(run).text))
    scores = [*numbers_in(result["metrics"]), *numbers_in(result["contributions"]), *numbers_in(result["interactions"])]
    assert len(scores) > 20
    missing = [v for v in scores if f"{v:.3f}".replace("-", "−") not in shown]
    assert not missing


def test_equal_records_give_equal_bytes(finished: Path, tmp_path: Path) -> None:
    again = tmp_path / "elsewhere"
    again.mkdir()
    for name in ("record.jsonl", "result.json", "config.yaml", "masks.npz"):
        shutil.copy(finished / name, again / name)
    draw(again)
    for name in (*(f"figures/{f}.png" for f in FIGURES), "report.html"):
        assert (again / name).read_bytes() == (finished / name).read_bytes(), name


def test_another_score_gives_another_picture(finished: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", seed=1)
    draw(other)
    for name in FIGURES:
        assert (other / "figures" / f"{name}.png").read_bytes() != (
            finished / "figures" / f"{name}.png"
        ).read_bytes(), name


def test_names_from_data_never_become_markup(tmp_path: Path) -> None:
    run = make_run(
        tmp_path / "hostile",
        sites=HOSTILE,
        rounds=2,
        changes={"name": HOSTILE[0], "caution": [HOSTILE[1]], "dataset": HOSTILE[2]},
    )
    (run / "config.yaml").write_text(f"name: '{HOSTILE[0]}'\n")
    text = draw(run).read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "iframe", "object", "link"} & {tag for tag, _ in page.tags}
    assert not [key for _, attributes in page.tags for key in attributes if key.startswith("on")]
    assert all(name in page.text for name in HOSTILE)


@pytest.mark.parametrize("name", ["finished", "wide", "cut"])
def test_the_page_asks_the_outside_for_nothing(name: str, request: pytest.FixtureRequest) -> None:
    run: Path = request.getfixturevalue(name)
    text = (run / "report.html").read_text(encoding="utf-8")
    addresses = [
        v or "" for _, a in Page(text).tags for k, v in a.items() if k in ("src", "href", "srcset", "data", "action")
    ]
    assert addresses
    assert all(address.startswith("data:image/png;base64,") for address in addresses)
    assert not re.search(r"url\(|@import|https?://", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert len(text) < 3_000_000


def test_pictures_state_their_finding_and_the_page_its_language(finished: Path) -> None:
    page = page_of(finished)
    result = json.loads((finished / "result.json").read_text())
    assert ("html", {"lang": "en"}) in page.tags
    alts = [attributes["alt"] or "" for tag, attributes in page.tags if tag == "img"]
    assert len(alts) == len(FIGURES)
    full, audio = result["metrics"]["full"], result["metrics"]["per_subset"]["audio"]
    assert any(f"audio alone scores {audio:.3f}, {full - audio:.3f} below both" in alt for alt in alts)
    assert any("wholly absent at amber" in alt for alt in alts)


def test_what_is_synthetic_and_every_caution_stand_before_the_scores(finished: Path) -> None:
    text = page_of(finished).text
    assert text.index("audio: fabricated by the test suite") < text.index(CAUTION) < text.index("Three answers")
    assert text.count("synthetic") >= 2


def test_a_site_without_a_modality_is_shown_to_move_no_byte_of_it(finished: Path) -> None:
    text = page_of(finished).text
    assert text.count("0 B (not held)") == 4
    assert "moved 0 bytes in the whole run" in text


def test_a_byte_of_a_modality_that_a_site_does_not_hold_is_said_aloud(tmp_path: Path) -> None:
    run = make_run(tmp_path / "leaky", rounds=2)
    lines = (run / "record.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    leak = next(row for row in rows if row["event"] == "round")
    leak["sites"]["amber"]["bytes_down_by_component"]["encoder.audio"] = 1000
    (run / "record.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    text = Page(draw(run).read_text(encoding="utf-8")).text
    assert "moved bytes of a modality that they do not hold: amber (audio, 1.00 kB)" in text
    assert "moved 0 bytes" not in text


def test_refused_replies_are_named_with_reason(finished: Path) -> None:
    text = page_of(finished).text
    assert "not_finite" in text
    assert "encoder.image/conv.weight holds NaN" in text


def test_an_interrupted_run_says_so_and_shows_its_newest_scores(cut: Path) -> None:
    text = page_of(cut).text
    newest = read(cut).curve("test")[-1]
    assert "was interrupted after 3 rounds of 12" in text
    assert "test evaluation after round 3" in text
    assert f"{newest['mean_subset']:.3f}" in text


@pytest.mark.parametrize(("stop_after", "evaluations"), [(0, False), (0, True), (2, False)])
def test_a_record_may_stop_at_any_event(tmp_path: Path, stop_after: int, evaluations: bool) -> None:
    run = make_run(tmp_path / "early", stop_after=stop_after, evaluations=evaluations)
    text = Page(draw(run).read_text(encoding="utf-8")).text
    assert f"was interrupted after {stop_after} round" in text
    assert ("The model was never scored" in text) != evaluations
    assert (run / "figures" / "learning_curve.png").is_file() == evaluations


def test_a_model_that_no_row_could_score_is_shown_as_dashes_not_zeros(tmp_path: Path) -> None:
    run = make_run(tmp_path / "unscored", stop_after=2)
    rows = [json.loads(line) for line in (run / "record.jsonl").read_text().splitlines()]
    for row in rows:
        if row["event"] == "evaluation":
            nothing = dict.fromkeys(row["per_subset"])
            row |= {"per_subset": nothing, "mean_subset": None, "worst_subset": None, "full": None, "secondary": {}}
            row |= {"per_site": dict.fromkeys(row["per_site"], nothing), "secondary_per_site": {}}
        if row["event"] == "round":
            row |= {"contributions": dict.fromkeys(row["contributions"]), "weights": {}, "void": True}
    (run / "record.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    text = Page(draw(run).read_text(encoding="utf-8")).text
    assert "audio alone has no row to score" in text
    assert "No weights yet" in text
    assert "0.000" not in text


@pytest.mark.parametrize("kept", [1, 3])
def test_half_a_last_line_hides_nothing_before_it_and_outlives_no_picture(tmp_path: Path, kept: int) -> None:
    run = make_run(tmp_path / "torn", stop_after=1)
    draw(run)
    lines = (run / "record.jsonl").read_text().splitlines()
    (run / "record.jsonl").write_text("\n".join(lines[:kept]) + '\n{"event": "rou')
    text = Page(draw(run).read_text(encoding="utf-8")).text
    assert "was interrupted after 0 rounds of 12" in text
    assert {path.stem for path in (run / "figures").glob("*.png")} == ({"availability"} if kept > 1 else set())


@pytest.mark.parametrize("content", [None, "", '{"event": "round"}\n', '{"event": "start"\n{"event": "end"}\n'])
def test_a_folder_without_a_readable_record_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "record.jsonl").write_text(content)
    with pytest.raises(DataError, match=r"record\.jsonl"):
        draw(tmp_path)


def test_scores_with_completed_tokens_stand_in_a_column_of_their_own(tmp_path: Path) -> None:
    story = read(make_run(tmp_path / "run"))
    scores = story.scores()
    assert story.result is not None
    assert scores is not None
    plain = dict.fromkeys(story.subsets, 0.5)
    story.result["metrics"]["completed"] = {"use": "full", "per_subset": plain, "mean_subset": 0.5, "worst_subset": 0.5}
    table = every_subset(story, scores)
    column = table.head.index("with completed tokens")
    assert {row[column] for row in table.rows[:-1]} == {number(0.5)}
    assert table.rows[-1][0] == "all predictions pooled"
