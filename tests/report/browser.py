"""Opens pages in headless Chromium and says how they lie at a given width."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--hide-scrollbars", "--allow-file-access-from-files",
)  # fmt: skip
# What reaches beyond the window and stands in no box that scrolls by itself is cut off.
SCRIPT = """
const frames = [...document.querySelectorAll('iframe')];
function measure(frame) {
  const inner = frame.contentDocument, width = frame.contentWindow.innerWidth;
  const scrolls = e => { for (; e; e = e.parentElement) if (e !== inner.body && e !== inner.documentElement &&
    ['auto', 'scroll'].includes(frame.contentWindow.getComputedStyle(e).overflowX)) return true; return false; };
  inner.querySelectorAll('details').forEach(d => { d.open = true; });
  const out = [...inner.body.querySelectorAll('*')].filter(e => { const b = e.getBoundingClientRect();
    return b.width && (b.right > width + 1 || b.left < -1) && !scrolls(e); }).map(e => e.outerHTML.slice(0, 80));
  const blank = [...inner.images].filter(i => !i.complete || !i.naturalWidth).length;
  return {scroll: inner.documentElement.scrollWidth, width, out, blank, headings: [...inner.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])};
}
window.onload = () => { const p = document.createElement('pre'); p.id = 'measured'; p.textContent = JSON.stringify(frames.map(measure)); document.body.append(p); };
"""


@dataclass(frozen=True)
class Layout:
    """How one page lies in one window."""

    scroll: int
    width: int
    out: list[str]
    blank: int
    headings: list[int]


def look(pages: list[tuple[Path, int]], workspace: Path) -> tuple[list[Layout], list[str]]:
    """Load every (page, window width) in one browser with all ``<details>`` open; also what its console said."""
    frames = "".join(
        f'<iframe src="{html.escape(page.resolve().as_uri())}" style="width:{width}px;height:900px;border:0"></iframe>'
        for page, width in pages
    )
    wrapper = workspace / "wrapper.html"
    wrapper.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}<script>{SCRIPT}</script>")
    assert CHROMIUM is not None
    profile = f"--user-data-dir={workspace / 'profile'}"
    more = ("--enable-logging=stderr", "--virtual-time-budget=8000", "--dump-dom", wrapper.resolve().as_uri())
    done = subprocess.run([CHROMIUM, *FLAGS, profile, *more], capture_output=True, text=True, timeout=120, check=True)
    found = re.search(r'<pre id="measured">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found, f"the browser measured nothing: {done.stdout[-500:]}"
    layouts = [Layout(**entry) for entry in json.loads(html.unescape(found[1]))]
    return layouts, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
