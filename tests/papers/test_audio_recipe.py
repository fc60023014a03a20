"""Test of a complete run with an audio encoder, from catalogue to ranking."""

from __future__ import annotations

import json
from pathlib import Path

from toolkit import pipeline
from toolkit.recipe import load

RECIPE = """\
name: sound
data:
  reader: demo
  options: {tracks: 200, artists: 40, playlists: 150, fields: [audio]}
encoders:
  sound: {encoder: mfcc-words, field: audio, params: {seconds: 2, rate: 8000, words: 40, frames: 4000}}
models:
  - {type: sasrec, epochs: 1, hidden_size: 16, select: ndcg@20}
baselines: [content-centroid]
evaluation: {split: {min_tracks: 5}, k: [20], bootstrap: 20}
report: {examples: 1, example_length: 3}
threads: 1
"""


def test_recipe_with_an_audio_encoder_ranks_tracks(tmp_path: Path) -> None:
    (tmp_path / "sound.yaml").write_text(RECIPE)
    for _ in ("made", "from the cache"):
        pipeline.run(load(tmp_path / "sound.yaml"), tmp_path / "run", cache=tmp_path / "cache")
    coverage = json.loads((tmp_path / "run" / "coverage.json").read_text())
    assert [(row["modality"], row["encoder"], row["coverage"]) for row in coverage] == [("sound", "mfcc-words", 1.0)]
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    found = {
        row["system"]: row["value"]
        for row in metrics
        if row["metric"] == "recall" and row["split"] == "test" and row["slice"] == "all"
    }
    # the sound of a track says which tastes it is for: better than any order that knows nothing (20 of 200 tracks)
    assert found["content-centroid"] > 0.1
