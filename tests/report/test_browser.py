"""Tests of the report page in a headless browser."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from toolkit.report.page import render

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium: the page was not drawn (on Debian and Ubuntu, apt-get install chromium)"
)


def drawn(page: Path, *options: str, said: bool = True) -> str:
    """What the browser says on its console and of itself; or (`said=False`) the page that it prints."""
    assert BROWSER is not None
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"]
    own = [f"--user-data-dir={page.parent / 'browser'}", *options]
    found = subprocess.run([BROWSER, *fixed, *own, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    return found.stderr if said else found.stdout


@pytest.mark.parametrize("width", [1200, 390], ids=["screen", "phone"])
def test_page_renders_without_console_messages(run_dir: Path, tmp_path: Path, width: int):
    said = drawn(render(run_dir), f"--window-size={width},1600", f"--screenshot={tmp_path / 'page.png'}")
    assert "CONSOLE" not in said
    picture = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
    paper = picture[-1, -1]
    ink = (np.abs(picture.astype(int) - int(paper)) > 60).mean(axis=1)
    # text from the top to the bottom of the window, and margins that stay free: nothing runs out of a narrow page
    assert (ink[: len(ink) // 2] > 0).mean() > 0.3 and (ink[len(ink) // 2 :] > 0).mean() > 0.2
    assert not (np.abs(picture[:, :4].astype(int) - int(paper)) > 60).any()


def test_page_prints_to_pdf(run_dir: Path, tmp_path: Path):
    said = drawn(render(run_dir), f"--print-to-pdf={tmp_path / 'page.pdf'}")
    assert "CONSOLE" not in said and (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_browser_tests_detect_page_errors(tmp_path: Path):
    page = tmp_path / "bad.html"
    page.write_text("<script>nobody.home()</script>")
    assert "CONSOLE" in drawn(page, f"--screenshot={tmp_path / 'bad.png'}")


PROBE = """
const [first, second] = document.querySelectorAll("svg.map")[1].querySelectorAll("path");
const heard = [], said = first.closest("figure").querySelector("output"), map = first.closest("svg");
const box = second.getBoundingClientRect();
const over = { clientX: box.x + box.width / 2 + 3, clientY: box.y + box.height / 2 };
const tell = (event) => { map.dispatchEvent(event); heard.push(said.textContent); };
tell(new PointerEvent("pointermove", over));
tell(new KeyboardEvent("keydown", { key: "ArrowRight" }));
tell(new KeyboardEvent("keydown", { key: "ArrowUp" }));
tell(new PointerEvent("pointerdown", { clientX: box.x + 60, clientY: box.y }));
document.body.dataset.heard = heard.join("|");
"""


def test_map_responds_to_pointer_touch_and_arrow_keys(run_dir: Path):
    page = render(run_dir)
    text = page.read_text(encoding="utf-8")
    own = re.search(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert own is not None
    marks = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in (own[1], own[1] + PROBE)]
    page.write_text(text.replace(own[1], own[1] + PROBE).replace(*marks), encoding="utf-8")
    left, below, above = "Harbour · Low Tide · 1,200 plays", "local:3 · 0 plays", "A &amp; B · C · 1 play"
    # an arrow leads to the nearest dot in its quarter; far from every dot nothing is told anew
    assert f'data-heard="{left}|{below}|{above}|{above}"' in drawn(page, "--dump-dom", said=False)


def test_injected_script_does_not_run(run_dir: Path):
    page = render(run_dir)
    page.write_text(
        page.read_text(encoding="utf-8").replace("</main>", "<script>document.body.id = 'ran'</script></main>"),
        encoding="utf-8",
    )
    assert 'id="ran"' not in drawn(page, "--dump-dom", said=False)


ZOOM = """
const map = document.querySelectorAll("svg.map")[1], figure = map.closest("figure"), mark = map.querySelector("path");
const seen = [], size = () => mark.getAttribute("transform").replace(/.*scale/, "");
const note = () => seen.push(`${map.getAttribute("viewBox")} ${size()}`);
figure.querySelector('.zoom button[value="2"]').click(); note();
map.dispatchEvent(new KeyboardEvent("keydown", { key: "+" })); note();
map.dispatchEvent(new KeyboardEvent("keydown", { key: "0" })); note();
seen.push(figure.querySelector(".zoom").hidden);
document.body.dataset.seen = seen.join("|");
"""


def test_map_is_enlarged_by_buttons_and_keys_and_marks_keep_their_size(run_dir: Path):
    page = render(run_dir)
    text = page.read_text(encoding="utf-8")
    own = re.search(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    assert own is not None
    marks = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in (own[1], own[1] + ZOOM)]
    page.write_text(text.replace(own[1], own[1] + ZOOM).replace(*marks), encoding="utf-8")
    seen = "120 120 240 240 (0.5)|180 180 120 120 (0.25)|0 0 480 480 (1)|false"
    assert f'data-seen="{seen}"' in drawn(page, "--dump-dom", said=False)
