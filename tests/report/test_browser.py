"""The page in a real browser: it draws on a screen, a phone and paper, and the console stays empty."""

from __future__ import annotations

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


def drawn(page: Path, *options: str) -> str:
    """What the browser says on its console and of itself."""
    assert BROWSER is not None
    fixed = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr"]
    own = [f"--user-data-dir={page.parent / 'browser'}", *options]
    found = subprocess.run([BROWSER, *fixed, *own, page.as_uri()], capture_output=True, text=True, timeout=120)
    assert found.returncode == 0, found.stderr
    return found.stderr


@pytest.mark.parametrize("width", [1200, 390], ids=["screen", "phone"])
def test_it_draws_without_a_word_on_the_console(run_dir: Path, tmp_path: Path, width: int):
    said = drawn(render(run_dir), f"--window-size={width},1600", f"--screenshot={tmp_path / 'page.png'}")
    assert "CONSOLE" not in said
    picture = np.asarray(Image.open(tmp_path / "page.png").convert("L"))
    paper = picture[-1, -1]
    ink = (np.abs(picture.astype(int) - int(paper)) > 60).mean(axis=1)
    # text from the top to the bottom of the window, and margins that stay free: nothing runs out of a narrow page
    assert (ink[: len(ink) // 2] > 0).mean() > 0.3 and (ink[len(ink) // 2 :] > 0).mean() > 0.2
    assert not (np.abs(picture[:, :4].astype(int) - int(paper)) > 60).any()


def test_it_prints(run_dir: Path, tmp_path: Path):
    said = drawn(render(run_dir), f"--print-to-pdf={tmp_path / 'page.pdf'}")
    assert "CONSOLE" not in said and (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF")


def test_a_page_that_fails_is_heard(tmp_path: Path):
    page = tmp_path / "bad.html"
    page.write_text("<script>nobody.home()</script>")
    assert "CONSOLE" in drawn(page, f"--screenshot={tmp_path / 'bad.png'}")
