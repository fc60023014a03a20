"""Tests that run summaries name artists without a text and tag files with lines in another encoding."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from toolkit import pipeline, run_directory
from toolkit.errors import DataError
from toolkit.modality import Modality
from toolkit.pipeline.run.encode_modalities import tracks_without
from toolkit.recipe import load

RECIPE = """\
name: bad-content
data:
  reader: triplets
  path: train_triplets.txt
  on_error: {on_error}
  options: {{train_allowed: true, artists: {{file: artists.tsv, fields: {{tags: tags}}}}}}
encoders:
  a_tags:
    encoder: tfidf-mlp
    field: tags
    targets: {{factors: 4}}
    params: {{hidden: [8], epochs: 2, output: prediction, bf16: "off", separator: ", "}}
coldstart:
  factors: {{k: 4, iterations: 3}}
  systems: [{{system: predicted-factors}}, {{system: random-factors}}]
baselines: []
evaluation: {{k: [5], metrics: [ndcg, auc], bootstrap: 20, split: {{type: item_cold, valid_fraction: 0.4}}}}
report: {{examples: 0}}
threads: 1
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with plays of 40 artists. The tags of A7 are in Latin-1, and A9 has no tags."""
    rng = np.random.default_rng(0)
    plays = [
        f"u{user}\tA{artist}\tName {artist}\t{rng.integers(1, 9)}\n"
        for user in range(30)
        for artist in rng.permutation(40)[:12]
    ]
    (tmp_path / "train_triplets.txt").write_text("".join(plays))
    lines = [f"A{artist}\ttag {artist % 4}, tag {artist % 3}".encode() for artist in range(40)]
    lines[7], lines[9] = "A7\tchanson française, café".encode("latin-1"), b"A9\t"
    (tmp_path / "artists.tsv").write_bytes(b"\n".join([b"artist_id\ttags", *lines]) + b"\n")
    return tmp_path


def test_summaries_name_content_that_cannot_be_used(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(RECIPE.format(on_error="skip"))
    pipeline.run(load(folder / "recipe.yaml", parameters=True), folder / "run", cache=folder / "cache")
    skipped = json.loads((folder / "run" / run_directory.DATA).read_text())["skipped"]
    assert any("artists.tsv, line 9: is not UTF-8" in example for example in skipped["examples"])
    (row,) = json.loads((folder / "run" / run_directory.COVERAGE).read_text())
    assert row["absent"]["count"] == 2 and set(row["absent"]["examples"]) == {"local:A7", "local:A9"}
    page = (folder / "run" / run_directory.REPORT).read_text()
    assert "local:A9" in page and "artists.tsv, line 9" in page


def test_summaries_name_clips_that_are_too_short_or_missing() -> None:
    present = np.array([False, True, False, True, True, True, True])
    sound = Modality("sound", np.zeros((7, 2), np.float32), present, short=present & (np.arange(7) > 1))
    assert tracks_without(sound, list("abcdef")) == {
        "absent": {"count": 1, "examples": ["b"]},
        "short": {"count": 4, "examples": ["c", "d", "e"]},
    }
    assert tracks_without(Modality("sound", sound.matrix[:2], present[:2]), ["a"]) == {}


def test_bad_file_raises_a_one_line_error_by_default(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(RECIPE.format(on_error="stop"))
    with pytest.raises(DataError, match=r"artists\.tsv, line 9: is not UTF-8"):
        pipeline.run(load(folder / "recipe.yaml", parameters=True), folder / "run", cache=folder / "cache")
