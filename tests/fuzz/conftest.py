"""Number of inputs that fuzz tests try, and the run whose files they damage."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

LONG = 50
"""Factor of the number of inputs with `--long`."""


@pytest.fixture
def tries(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """A function from the number of inputs in CI to the number of this run."""
    return lambda number: number * (LONG if request.config.getoption("--long") else 1)


SYSTEMS = """\
name: saved
data:
  reader: demo
  permission: {allowed: true, reason: the demo is made up}
  options: {tracks: 200, artists: 40, playlists: 150, fields: [audio_features, lyrics]}
encoders:
  audio: {encoder: features, field: audio_features}
  lyrics: {encoder: tfidf, field: lyrics, params: {dim: 8}}
titles: {encoder: tfidf, field: title, params: {dim: 8}}
coldstart:
  factors: {k: 8, iterations: 2}
  systems: [{system: mlp, params: {epochs: 1}}, {system: predicted-factors, modalities: [lyrics]}]
models:
  - {type: sasrec, epochs: 1, hidden_size: 16, titles: true, select: ndcg@20, match: true, neighbours: 5}
  - {type: sasrec, name: advised, epochs: 1, hidden_size: 16, select: ndcg@20, cold_rows: predicted, cold_system: mlp}
baselines:
  - item-knn
  - session-knn
  - stan
  - ease
  - content-mix
  - content-centroid
  - artist-popularity
  - markov
  - title-knn
  - {name: transrec-global, params: {epochs: 1, dim: 8}}
  - {name: two-stage, params: {systems: [item-knn, markov], rounds: 5, candidates: 20, min_leaf: 5}}
evaluation: {split: {min_tracks: 5}, k: [5, 20], bootstrap: 20}
report: {examples: 2, example_length: 5, map: 40, similar: 3}
threads: 1
"""


@pytest.fixture(scope="session")
def saved_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with one saved system of each kind.

    Another process computes it: threads of OpenMP do not survive the forks of the tests.
    """
    folder = tmp_path_factory.mktemp("saved")
    (folder / "saved.yaml").write_text(SYSTEMS)
    subprocess.run(
        [sys.executable, "-m", "segue", "run", "saved.yaml", "--out", "run"],
        cwd=folder,
        env={**os.environ, "SEGUE_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
    )
    return folder / "run"
