"""Tests of learning curves and encoding times in the report."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.report.run_files import curve, files, write_run
from toolkit.report.page import render
from toolkit.report.training_section import _relative, encodings, training


def encoder_row(modality: str, **more: Any) -> Any:
    row = {"modality": modality, "encoder": "mel-cnn", "fit_seconds": 62.5, "encode_seconds": 3.25}
    return row | {"cached": False, "peak_mb": 1450.4, "curve": curve(5.0, 0.9, 4)} | more


ENCODERS = [
    encoder_row("sound"),
    encoder_row("words", encoder="tfidf", fit_seconds=0.0, encode_seconds=0.5, cached=True, peak_mb=None, curve=[]),
    encoder_row("old", fit_seconds=None, encode_seconds=None, cached=True, peak_mb=None, curve=[]),
]


def test_encoding_lines_have_seconds_memory_and_origin() -> None:
    lines = [tuple(line.values()) for line in encodings(ENCODERS)]
    assert lines == [
        ("sound", "mel-cnn", "1 min 02 s", "3.2 s", "1,450 MB", "this run", False),
        ("words", "tfidf", "–", "0.50 s", "–", "an earlier run (cache)", True),
        ("old", "mel-cnn", "not known", "not known", "–", "an earlier run (cache)", True),
    ]


def test_encoder_losses_are_relative_to_the_first_epoch() -> None:
    points: Any = [{"epoch": 1, "loss": -4.0}, {"epoch": 2, "loss": -6.0}, {"epoch": 3, "loss": None}]
    assert [row["loss"] for row in _relative(points)] == [-1.0, -1.5, None]
    assert [row["loss"] for row in _relative([{"epoch": 1, "loss": 0.0}, {"epoch": 2, "loss": 2.0}])] == [0.0, 2.0]


def test_curves_of_encoders_have_a_figure_of_their_own() -> None:
    systems, encoders = training({"sasrec": curve(6.0, 0.86, 5)}, ENCODERS, "ndcg@50")
    assert [line["name"] for line in systems["legend"]] == ["sasrec"] and len(systems["figures"]) == 2
    assert [line["name"] for line in encoders["legend"]] == ["sound"] and len(encoders["figures"]) == 1
    assert "sound ends at 0.729" in encoders["figures"][0]
    assert training({}, ENCODERS[1:], "") == []


def test_page_shows_encoders_in_training_and_in_time_and_memory(tmp_path: Path) -> None:
    page = render(write_run(tmp_path / "run", files() | {"encoders.json": ENCODERS, "curves.json": {}})).read_text()
    training_part = page[page.index('<h2 id="training">') : page.index('<h2 id="modalities">')]
    assert "Training loss of encoders" in training_part
    cost = page[page.index('<h2 id="cost">') : page.index('<h2 id="setup">')]
    assert re.search(r"sound</th><td class=\"text\">mel-cnn</td><td>1 min 02 s</td><td>3.2 s</td>", cost)
    assert "Their seconds are those of that run" in cost
