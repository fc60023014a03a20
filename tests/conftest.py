"""Fixtures shared by every test."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real playlists, used in place; tests marked `data` say so when they are not there."""
    if not all((SHARED / name).is_dir() for name in ("playlists-spa", "playlists-mpd5k")):
        pytest.skip(f"no real playlists: put the folders playlists-spa and playlists-mpd5k into {SHARED}")
    return SHARED


TINY = """\
name: tiny
data:
  reader: demo
  options: {tracks: 200, artists: 40, playlists: 150, fields: [audio_features, lyrics]}
encoders:
  audio: {encoder: features, field: audio_features}
  lyrics: {encoder: tfidf, field: lyrics, params: {dim: 8}}
titles: {encoder: tfidf, field: title, params: {dim: 8}}
models:
  - {type: sasrec, epochs: 2, hidden_size: 16, titles: true, select: ndcg@20}
baselines: [popularity, content-centroid]
evaluation: {split: {min_tracks: 5}, k: [5, 20], bootstrap: 50}
report: {examples: 2, example_length: 5, map: 40, similar: 3}
threads: 1
"""


@pytest.fixture
def tiny_recipe(tmp_path: Path) -> Path:
    """A recipe over a small demo catalogue that runs in seconds."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="session")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Corpora and encodings of the small runs, made once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_cache: Path) -> Path:
    """The run directory of `TINY`, finished; to be read, not changed."""
    from toolkit import pipeline
    from toolkit.recipe import load

    folder = tmp_path_factory.mktemp("tiny")
    (folder / "tiny.yaml").write_text(TINY)
    pipeline.run(load(folder / "tiny.yaml"), folder / "run", cache=tiny_cache)
    return folder / "run"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="try 50 times as many mutated inputs, for hours")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    import torch

    missing = pytest.mark.skip(reason="no CUDA device: run `pytest -m gpu` on a machine that has one")
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(missing)
