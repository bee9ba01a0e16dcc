"""The pages in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedmce.report import compare
from tests.report.browser import CHROMIUM, look

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed (Debian package chromium)")


def test_pages_lie_within_their_window_and_the_console_is_silent(
    finished: Path, wide: Path, cut: Path, tmp_path: Path
) -> None:
    side_by_side = compare([finished, cut], tmp_path / "compare.html")
    pages = [finished / "report.html", wide / "report.html", cut / "report.html", side_by_side]
    asked = [(page, width) for page in pages for width in (1280, 420)]
    layouts, console = look(asked, tmp_path)
    assert not console
    assert [layout.width for layout in layouts] == [width for _, width in asked]
    for (page, width), layout in zip(asked, layouts, strict=True):
        assert layout.scroll <= width, f"{page.parent.name} at {width} px scrolls sideways to {layout.scroll}"
        assert not layout.out, f"{page.parent.name} at {width} px cuts off {layout.out[:3]}"
        assert layout.blank == 0
        assert layout.headings[0] == 1
        assert all(b - a <= 1 for a, b in zip(layout.headings, layout.headings[1:], strict=False))


def test_the_browser_check_sees_what_is_cut_off_and_what_the_console_says(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        '<h1>x</h1><div style="width:900px">wide</div><img src="http://192.0.2.1/x.png"><script>console.error("loud")</script>'
    )
    (layout,), console = look([(page, 420)], tmp_path)
    assert layout.scroll > 420
    assert layout.out
    assert any("loud" in line for line in console)
