"""Small files of a finished run for the report tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RECIPE = """\
name: Demo catalogue, five modalities
data:
  reader: demo
  permission:
    allowed: true
    reason: tests and benchmarks only
models:
- type: bert4rec
  select: ndcg@50
- type: sasrec
  select: ndcg@50
evaluation:
  split: {type: playlist_disjoint, shown: 0.7}
  k: [20, 50]
  bootstrap: 1000
seed: 7
"""
TEST_NDCG_50 = {
    "popularity": 0.0411,
    "item-knn": 0.1217,
    "content-centroid": 0.0902,
    "bert4rec-ids": 0.1342,
    "bert4rec-multimodal": 0.1604,
    "sasrec-ids": 0.1388,
    "sasrec-multimodal": 0.1611,
    "upper-bound": 0.8123,
}
VALID_NDCG_50 = TEST_NDCG_50 | {"bert4rec-multimodal": 0.1722, "sasrec-multimodal": 0.1689}
MODALITIES = {
    "bert4rec-multimodal": "audio, lyrics, cover",
    "sasrec-multimodal": "audio, lyrics, cover",
    "content-centroid": "audio, lyrics, cover",
}


def metric_row(system: str, value: float, **more: Any) -> dict[str, Any]:
    """Return a metrics.json row, by default NDCG@50 for all tracks in the test split."""
    row = {
        "system": system,
        "modalities": MODALITIES.get(system, ""),
        "split": "test",
        "slice": "all",
        "metric": "ndcg",
        "k": 50,
    }
    return (
        row | {"value": value, "ci_low": max(0.0, value - 0.008), "ci_high": min(1.0, value + 0.009), "n": 412} | more
    )


def metric_rows() -> list[dict[str, Any]]:
    rows = []
    for system, value in TEST_NDCG_50.items():
        for k, factor in ((20, 0.8), (50, 1.0)):
            rows += [
                metric_row(system, min(1.0, value * factor * 1.3), metric="recall", k=k),
                metric_row(system, value * factor, k=k),
            ]
        rows.append(metric_row(system, VALID_NDCG_50[system], split="valid", n=206))
        rows.append(
            metric_row(
                system, 0.0 if system.endswith("ids") or system == "popularity" else value * 0.4, slice="cold", n=130
            )
        )
        rows.append(metric_row(system, value * 1.1, slice="warm"))
        rows.append(metric_row(system, value * 0.97, slice="macro", n=301))
        rows += [
            metric_row(system, value * factor, slice=f"popularity:{part}")
            for part, factor in (("head", 1.4), ("tail", 0.6))
        ]
    return rows


def track(number: int, title: str, artist: str, **more: Any) -> dict[str, Any]:
    return {"id": f"local:{number}", "title": title, "artist": artist} | more


def examples() -> list[dict[str, Any]]:
    seeds = [track(at, f"Seed {at}", "The Lanterns") for at in range(1, 5)]
    hidden = [track(10, "Blå timme", "Åsa Ek"), track(11, "שיר ערב", "להקה"), track(12, "夜の歌", "東京楽団")]
    found = [
        track(10, "Blå timme", "Åsa Ek", score=3.2, hit=True),
        track(20, "Harbour", "Low Tide", score=2.9, hit=False),
    ]
    missed = [
        track(21, "Overplayed", "Chart Toppers", score=9.0, hit=False),
        track(22, "Played again", "Chart Toppers", score=8.0, hit=False),
    ]
    systems = {"sasrec-multimodal": found, "bert4rec-multimodal": found[::-1], "popularity": missed}
    titles = ["Late evening", "أغاني المساء", None, "Driving north"]
    return [
        {"playlist": f"demo:{at}", "title": title, "seeds": seeds, "hidden": hidden, "systems": systems}
        for at, title in enumerate(titles)
    ]


def curve(start: float, drop: float, epochs: int) -> list[dict[str, float]]:
    """Return a training curve with falling loss and a metric that peaks before the end."""
    return [
        {
            "epoch": e,
            "loss": start * drop**e,
            "seconds": 2.5,
            "recall@20": 0.1,
            "ndcg@50": 0.16 * (1 - drop**e) - 0.001 * max(0, e - epochs + 3),
        }
        for e in range(1, epochs + 1)
    ]


def timing(system: str) -> dict[str, Any]:
    flags = {"oracle": True} if system == "upper-bound" else {"underfit": True} if system == "bert4rec-ids" else {}
    return {"fit_seconds": 187.4 if "rec-" in system else 0.31, "evaluate_seconds": 4.25, "peak_mb": 1450.0, **flags}


def files() -> dict[str, Any]:
    """Return all JSON files of the run by file name."""
    models = [name for name in TEST_NDCG_50 if "rec-" in name]
    source = {"source": "demo", "train_allowed": True, "n": 2800}
    return {
        "metrics.json": metric_rows(),
        "manifest.json": {
            "versions": {"segue": "0.1.0", "python": "3.11.7", "torch": "2.13.0"},
            "device": "cpu",
            "threads": 2,
            "seed": 7,
        },
        "data.json": {
            "tracks": 3000,
            "playlists": 4120,
            "placements": 123456,
            "split": {"train": 3502, "valid": 206, "test": 412},
            "skipped": {"count": 2, "examples": ["demo.csv:17: no track id", "demo.csv:90: no track id"]},
        },
        "timings.json": {name: timing(name) for name in TEST_NDCG_50},
        "curves.json": {name: curve(6.0 + at, 0.86, 14 - at) for at, name in enumerate(models)},
        "coverage.json": [
            {
                "modality": "audio",
                "encoder": "features-vae",
                "field": "audio_features",
                "dim": 32,
                "coverage": 0.934,
                "sources": [source],
            },
            {
                "modality": "lyrics",
                "encoder": "sentence-bert",
                "field": "lyrics",
                "dim": 384,
                "coverage": 0.61,
                "sources": [source, {"source": "lrclib.net", "train_allowed": None, "n": 212}],
            },
        ],
        "comparisons.json": [
            comparison("popularity", -0.03, -0.04, -0.02, k=20),
            comparison("popularity", -0.01, -0.02, 0.003, slice="cold"),
            comparison("popularity", -0.12, -0.129, -0.111, p=0.0002),
            comparison("upper-bound", 0.6512, 0.64, 0.66, p=0.0002),
            comparison("sasrec-ids", -0.0223, -0.0301, -0.0145, p=0.0008),
            comparison("bert4rec-multimodal", -0.0007, -0.006, 0.0049, p=0.81),
        ],
        "tags.json": [
            {
                "vectors": "factors",
                "method": "logistic",
                "field": "tags",
                "asked": 3,
                "tracks": 1200,
                "tested": 1200,
                "auc": 0.75,
                "by_tag": {"rock": 0.7, "jazz": 0.8, "<b>pop</b>": None},
            },
            {
                "vectors": "sound",
                "method": "mlp",
                "field": "tags",
                "asked": 3,
                "tracks": 1200,
                "tested": 240,
                "auc": None,
                "by_tag": {"rock": None, "jazz": None, "<b>pop</b>": None},
            },
        ],
        "factor_map.json": {
            "map": {"vectors": "cnn", "genres": ["<i>jazz", "rock"], "points": [[-1, 0, 0], [0.5, 1, 1], [1, -1, -1]]},
            "similar": [
                {
                    "track": {"id": "a", "title": "A", "artist": "X & Y"},
                    "true": [{"id": "b", "title": "B", "artist": "Z"}],
                    "predicted": [{"id": "b", "title": "B", "artist": "Z"}, {"id": "c", "title": None, "artist": None}],
                },
            ],
            "ends": [{"factor": 4, "low": ["Z"], "high": ["X & Y"]}],
        },
        "map.json": {
            "vectors": "sasrec-multimodal",
            "by": "tags",
            "groups": ["rock", "<i>jazz"],
            "points": [
                track(1, "Harbour", "Low Tide", plays=1200, x=-1.0, y=0.0, group=1),
                track(2, "A & B", "C", plays=1, x=1.0, y=1.0, group=0),
                {"id": "local:3", "title": None, "artist": None, "plays": 0, "x": 0.2, "y": -1.0, "group": -1},
            ],
            "among": 20000,
            "similar": [
                {
                    "track": track(1, "Harbour", "Low Tide"),
                    "near": {"sasrec-multimodal": [track(2, "A & B", "C")], "audio": []},
                },
            ],
        },
        "attribution.json": {
            "differences": [
                comparison("sasrec-multimodal", 0.0121, 0.004, 0.0203, modality="audio", way="left out"),
                comparison("sasrec-multimodal", 0.0312, 0.02, 0.041, modality="audio", way="shuffled"),
                comparison("sasrec-multimodal", -0.0007, -0.006, 0.0049, modality="lyrics", way="left out"),
            ],
            "weights": [
                {"system": "sasrec-multimodal", "modality": "audio", "of": "gate", "label": "mean gate", "value": 0.61}
            ],
        },
        "examples.json": examples(),
        "model/systems.json": ["bert4rec-multimodal", "sasrec-multimodal"],
    }


def comparison(system: str, difference: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    row = {
        "system": system,
        "reference": "sasrec-multimodal",
        "slice": "all",
        "metric": "ndcg",
        "k": 50,
        "difference": difference,
    }
    return row | {"ci_low": low, "ci_high": high, "p": 0.5, "resampled": "playlists"} | more


def write_run(root: Path, found: dict[str, Any], recipe: str = RECIPE) -> Path:
    """Write the files under `root` and return it."""
    root.mkdir(parents=True)
    (root / "recipe.yaml").write_text(recipe, encoding="utf-8")
    for name, value in found.items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return root
