"""Encoders of audio on the open-licensed clips: which package a clip comes from, in five folds. A check of the plumbing
on real audio.

Packages are nearly composers, and the clips are few: the table says that sound goes in at one end and something that is
in the sound comes out at the other, not which encoder recommends better. Every encoder learns on four folds alone (the
networks from the package as their target; one row's network from the demo catalogue's sounds and tastes instead), and
one classifier, the same for all (logistic regression of the standardised embeddings), learns there too. Accuracy is
over all clips, each tested once.

    python benchmarks/clips.py --clips ../shared/data/clips --folds 5 --save
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np

RATE = 22050
NETWORK = {"bf16": "off", "seconds": 20, "batch": 16}
DEMO = "demo"
Folds = list[tuple[np.ndarray, np.ndarray]]
SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "features, 11 by librosa, standardised": ("features", {}),
    "mfcc-words, 500 words": ("mfcc-words", {"seconds": 20, "words": 500}),
    "mfcc-tags, 3 x 1,200": ("mfcc-tags", {"seconds": 20, "words": 500, "epochs": 30, "batch": 16}),
    "spectrogram-dbn, 3 x 300": ("spectrogram-dbn", {"epochs": 30}),
    "cqt-cnn, the paper's sizes": ("cqt-cnn", {"bf16": "off", "batch": 16, "epochs": 12}),
    "cqt-cnn, the same, trained on the demo catalogue": (DEMO, {"bf16": "off", "batch": 16, "epochs": 12}),
    "mel-cnn, 64-64-128-128": (
        "mel-cnn",
        NETWORK | {"filters": [64, 64, 128, 128], "hidden": 128, "epochs": 10, "loss": "cosine", "output": "embedding"},
    ),
    "mel-cnn-1d, the paper's sizes": ("mel-cnn-1d", NETWORK | {"epochs": 10}),
}


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--clips", type=Path, default=Path(__file__).resolve().parents[2] / "shared/data/clips")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    common.start(given)
    from sklearn.model_selection import StratifiedKFold

    sounds, labels = clips(given.clips, most=60 if given.quick else None)
    names, classes = np.unique(labels, return_inverse=True)
    folds = list(StratifiedKFold(given.folds, shuffle=True, random_state=given.seed).split(classes, classes))
    systems = dict(list(SYSTEMS.items())[:2]) if given.quick else SYSTEMS
    print(f"{len(sounds)} clips of {len(names)} packages, {given.folds} folds", flush=True)
    rows = [_row("the most frequent package", majority(classes, folds), classes, len(names), 0.0)]
    described = features(sounds)
    for title, (name, params) in systems.items():
        began = time.process_time()
        inputs = described if name == "features" else sounds
        encoder = demo_trained(params, given.seed) if name == DEMO else None
        found = probed(
            lambda name=name, params=params: make(name, params, given.seed), inputs, classes, folds, fitted=encoder
        )
        rows.append(_row(title, found, classes, len(names), time.process_time() - began))
        print(f"  {title}: {rows[-1]['accuracy']:.3f}", flush=True)
    print("\n" + markdown(rows))
    result = {
        "experiment": "clips",
        "what": "a check of the plumbing on real audio: packages are nearly composers",
        "clips": len(sounds),
        "packages": {str(name): int(count) for name, count in zip(names, np.bincount(classes), strict=True)},
        "folds": given.folds,
        "seed": given.seed,
        "rows": rows,
        "quick": given.quick,
        "machine": common.machine(given.device),
    }
    if given.save:
        common.RESULTS.mkdir(exist_ok=True)
        (common.RESULTS / f"clips-{given.device}.json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def clips(folder: Path, most: int | None) -> tuple[list[bytes], np.ndarray]:
    """Every clip once decoded, as WAV at 22,050 Hz, so that twenty fits need not do it again; and its package."""
    import soundfile

    from toolkit.encoders.audio import waveforms
    from toolkit.encoders.contract.field_values import Files

    with (folder / "clips.csv").open(newline="") as table:
        rows = [(row["clip_id"], row["package"]) for row in csv.DictReader(table)]
    rows = [row for row in rows if (folder / "clips" / f"{row[0]}.ogg").is_file()]
    if most is not None:
        rows = rows[:: -(-len(rows) // most)]
    if not rows:
        raise SystemExit(f"no clips in {folder}: give the folder of clips.csv with --clips")
    sounds = []
    for samples in waveforms(Files([folder / "clips" / f"{name}.ogg" for name, _ in rows]), rate=RATE, seconds=30):
        out = io.BytesIO()
        soundfile.write(out, samples, RATE, format="WAV", subtype="FLOAT")
        sounds.append(out.getvalue())
    return sounds, np.array([package for _, package in rows])


def features(sounds: list[bytes]) -> np.ndarray:
    """The eleven numbers of every clip: float32 [n, 11]; they are learned from nothing, so once is enough."""
    from toolkit.encoders.audio.audio_features import AudioFeaturesEncoder

    return AudioFeaturesEncoder().measured(sounds)


def make(name: str, params: dict[str, Any], seed: int) -> Any:
    from toolkit.encoders.contract.registry import create

    return create(name, params, seed=seed, device="cpu")


def probed(
    build: Callable[[], Any], inputs: Any, classes: np.ndarray, folds: Folds, *, fitted: Any = None
) -> np.ndarray:
    """The class found for every clip by the classifier of the folds it is not in: int64 [n]. fitted: one that learned
    elsewhere."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from toolkit.encoders.contract.field_values import take

    found = np.zeros(len(classes), np.int64)
    for learn, test in folds:
        encoder = fitted
        if encoder is None:
            encoder = build()
            targets = np.eye(classes.max() + 1, dtype=np.float32)[classes[learn]] if encoder.supervised else None
            encoder.fit(take(inputs, learn), targets)
        probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        probe.fit(encoder.transform(take(inputs, learn)), classes[learn])
        found[test] = probe.predict(encoder.transform(take(inputs, test)))
    return found


def demo_trained(params: dict[str, Any], seed: int) -> Any:
    """`cqt-cnn` that learned the tastes behind the demo catalogue's tracks from their sound, and never heard a clip."""
    from segue.datasets.demo.demo_params import DemoParams
    from segue.datasets.demo.demo_reader import DemoReader
    from toolkit.catalogue.records import TrackRecord

    reader = DemoReader(params=DemoParams(tracks=300, artists=60, playlists=10, fields=["audio"]))
    sounds = [record.fields["audio"].value for record in reader.read() if isinstance(record, TrackRecord)]
    return make("cqt-cnn", params, seed).fit(sounds, reader.story.world.taste.astype(np.float32))


def majority(classes: np.ndarray, folds: Folds) -> np.ndarray:
    found = np.zeros(len(classes), np.int64)
    for learn, test in folds:
        found[test] = np.bincount(classes[learn]).argmax()
    return found


def _row(title: str, found: np.ndarray, classes: np.ndarray, count: int, seconds: float) -> dict[str, Any]:
    """Accuracy with its Wilson interval, and the mean recall over packages."""
    right, n = found == classes, len(classes)
    share, z = right.mean(), 1.96
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    recall = np.mean([right[classes == each].mean() for each in range(count)])
    values = {"accuracy": share, "low": middle - half, "high": middle + half, "recall": recall}
    return {
        "system": title,
        **{name: round(float(value), 4) for name, value in values.items()},
        "processor_s": round(seconds, 1),
    }


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = ["| system | accuracy | 95 % | mean recall of packages | processor s |", "|---|---|---|---|---|"]
    for row in rows:
        interval = f"{row['low']:.3f} … {row['high']:.3f}"
        lines.append(
            f"| {row['system']} | {row['accuracy']:.3f} | {interval} | {row['recall']:.3f} | {row['processor_s']:.0f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
