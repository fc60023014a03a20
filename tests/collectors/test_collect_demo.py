"""Tests of collecting the demo catalogue from loopback services."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from segue.datasets.demo.demo_params import DemoParams
from tests.servers import faults
from tests.servers.demo import Demo, services
from toolkit import pipeline
from toolkit.catalogue.store import Catalogue
from toolkit.recipe import load

SMALL = {"tracks": 200, "artists": 40, "playlists": 150}
FAULTS = {3: faults.too_many("0"), 7: faults.truncated, 11: faults.reset, 17: faults.status(502)}
"""Faults of each service by the request's number; a retry succeeds."""
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def collected(tmp_path_factory, tiny_cache):
    """Return run directory and library of the demo recipe with fewer tracks and a smaller model."""
    folder = tmp_path_factory.mktemp("collect-demo")
    recipe = YAML(typ="safe").load(ROOT / "recipes" / "collect_demo.yaml")
    recipe["data"]["options"] = {**SMALL, "fields": []}
    recipe["encoders"] |= {
        name: {"encoder": "tfidf", "field": name, "params": {"dim": 8}} for name in ("lyrics", "biography")
    }
    recipe["encoders"]["cover"]["params"] = {"epochs": 1}
    recipe["encoders"]["audio"] = {"encoder": "features", "field": "audio_features"}
    recipe["models"] = [{"type": "sasrec", "match": True, "epochs": 2, "hidden_size": 16}]
    recipe |= {
        "baselines": ["content-centroid"],
        "evaluation": {"split": {"min_tracks": 5}, "k": [20], "bootstrap": 20},
        "threads": 1,
    }
    recipe["collect"]["library"] = str(folder / "library")
    with services(DemoParams(**SMALL), features=folder / "features.csv", faults=FAULTS) as running:
        params = running.params() | {"feature-table": {"path": str(folder / "features.csv")}}
        for source in recipe["collect"]["sources"]:
            source["params"] |= params[source["source"]]
        path = folder / "collect_demo.yaml"
        path.write_text(json.dumps(recipe))
        pipeline.run(load(path), folder / "run", cache=tiny_cache)
        requests = running.musicbrainz.succeeded()
    assert len(requests) == 2 * SMALL["tracks"] and max(requests.values()) == 1
    return folder


def test_collected_fields_equal_the_demo_catalogue(collected):
    demo = Demo(DemoParams(**SMALL))
    ids = [track.id for track in demo.tracks]
    with Catalogue.open(collected / "library" / "catalogue.sqlite") as library:
        for field in ("lyrics", "biography", "cover", "audio_features"):
            there, values = library.field_values(field, ids)
            given = {track.id: track.fields[field].value for track in demo.tracks if field in track.fields}
            assert [one for one, found in zip(ids, there, strict=True) if found] == list(given)
            found = [list(value) if field == "audio_features" else value for value in values]
            expected = [
                pytest.approx(value, rel=1e-6) if field == "audio_features" else value for value in given.values()
            ]
            assert found == expected
        n = sum("cover" in track.fields for track in demo.tracks)
        assert library.provenance("cover") == [
            {"field": "cover", "source": "coverartarchive", "train_allowed": None, "n": n}
        ]
        there, tags = library.field_values("tags", ids)
        assert there.all() and all(tag for tag in tags)


def test_models_train_on_the_collected_library(collected):
    rows = json.loads((collected / "run" / "metrics.json").read_text())
    scores = {
        row["system"]: row["value"]
        for row in rows
        if row["metric"] == "recall" and row["slice"] == "all" and row["split"] == "test"
    }
    assert set(scores) == {"sasrec-multimodal", "content-centroid", "upper-bound"} and min(scores.values()) > 0
    manifest = (collected / "run" / "manifest.json").read_text()
    assert "made up" in manifest
