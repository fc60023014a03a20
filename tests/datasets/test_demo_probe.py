"""Tests that encoder vectors of the demo catalogue contain the planted signal and that imputation works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.demo_reader import DemoReader
from segue.datasets.demo.tastes import FAMILIES, PALETTES, TASTES, THEMES
from toolkit.catalogue.records import TrackRecord
from toolkit.encoders.contract import registry
from toolkit.encoders.contract.encode import encode
from toolkit.encoders.contract.field_values import FieldValues
from toolkit.fusion.item_table import ItemTable
from toolkit.fusion.modality_blocks import prepared_blocks
from toolkit.modality import Modality
from toolkit.recipe import Fusion

PARAMS = DemoParams(
    tracks=500, artists=160, playlists=10, fields=["audio_features", "lyrics", "biography", "cover", "signal_free"]
)
MAIN = np.arange(len(TASTES))
PLANTED = {
    "audio_features": np.array([FAMILIES.index(taste.family) for taste in TASTES]),
    "lyrics": np.array([THEMES.index(taste.theme) for taste in TASTES]),
    "biography": MAIN,
    "cover": np.array([PALETTES.index(taste.palette) for taste in TASTES]),
    "signal_free": MAIN,
}
"""What each field tells of each taste."""


class Demo:
    """Small demo catalogue whose fields are encoded once."""

    def __init__(self, cache: Path) -> None:
        self.cache, self.reader = cache, DemoReader(params=PARAMS)
        self.tracks = [record for record in self.reader.read() if isinstance(record, TrackRecord)]

    @property
    def artists(self) -> np.ndarray:
        """Artist of each track, int [V + 1]. Row 0 has no artist."""
        return np.concatenate([[-1], self.reader.story.world.track_artist])

    @property
    def taste(self) -> np.ndarray:
        """Main taste of each track, int [V + 1]."""
        return np.concatenate([[0], self.reader.story.world.taste.argmax(axis=1)])

    def modality(self, part: str, encoder: str, params: dict[str, Any]) -> Modality:
        present = np.array([part in track.fields for track in self.tracks])
        values = [track.fields[part].value for track in self.tracks if part in track.fields]
        made = registry.create(encoder, params, device="cpu")
        return encode(made, FieldValues(part, [track.id for track in self.tracks], present, values), cache=self.cache)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return Demo(tmp_path_factory.mktemp("demo"))


def probe(vectors: np.ndarray, labels: np.ndarray, known: np.ndarray) -> tuple[float, float]:
    """Return the test accuracy of a ridge classifier fitted to `known` tracks, and of the most common label."""
    from sklearn.linear_model import RidgeClassifierCV

    scaled = (vectors - vectors[known].mean(axis=0)) / (vectors[known].std() + 1e-9)
    classifier = RidgeClassifierCV(alphas=np.logspace(0, 5, 11)).fit(scaled[known], labels[known])
    return float(classifier.score(scaled[~known], labels[~known])), float(
        (labels[~known] == np.bincount(labels[known]).argmax()).mean()
    )


ENCODERS = [
    ("audio_features", "features", {}),
    ("audio_features", "features-vae", {"latent": 16}),
    ("audio_features", "features-vae", {"latent": 16, "output": "sample"}),
    ("lyrics", "tfidf", {"dim": 64}),
    ("lyrics", "word2vec", {"dim": 64, "epochs": 30}),
    ("lyrics", "sentence-bert", {"max_length": 48}),
    ("biography", "tfidf", {"dim": 64}),
    ("biography", "sentence-bert", {"max_length": 64}),
    ("cover", "image-ae", {"size": 64, "latent": 32, "epochs": 6}),
    ("cover", "image-vae", {"size": 64, "latent": 32, "epochs": 6}),
]


def probe_modality(demo: Demo, part: str, encoder: str, params: dict[str, Any]) -> tuple[float, float, int]:
    """Return probe accuracy on unseen artists, accuracy of the most common label, and number of tracks."""
    modality = demo.modality(part, encoder, params)
    rows = np.flatnonzero(modality.present)
    known = demo.artists[rows] % 2 == 0
    return *probe(modality.matrix[rows], PLANTED[part][demo.taste[rows]], known), int((~known).sum())


@pytest.mark.parametrize(
    ("part", "encoder", "params"),
    ENCODERS,
    ids=[f"{part}-{encoder}-{i}" for i, (part, encoder, _) in enumerate(ENCODERS)],
)
def test_linear_probe_recovers_planted_tastes(demo: Demo, part: str, encoder: str, params: dict[str, Any]) -> None:
    right, base, n = probe_modality(demo, part, encoder, params)
    assert right > base + 4 * np.sqrt(base * (1 - base) / n), f"{right:.3f} against {base:.3f} on {n} tracks"


def test_linear_probe_on_random_numbers_is_at_chance(demo: Demo) -> None:
    right, base, n = probe_modality(demo, "signal_free", "features", {})
    assert right < base + 3 * np.sqrt(base * (1 - base) / n)


@pytest.fixture(scope="module")
def pair(demo: Demo) -> dict[str, Modality]:
    """Return sound, lyrics and biographies as standardised features and 32-dimensional text vectors."""
    return {
        "audio": demo.modality("audio_features", "features", {}),
        "lyrics": demo.modality("lyrics", "tfidf", {"dim": 32}),
        "biography": demo.modality("biography", "tfidf", {"dim": 32}),
    }


@pytest.mark.parametrize(
    ("policy", "than"), [("mean", "zero"), ("linear", "zero"), ("em", "zero"), ("linear", "mean"), ("em", "mean")]
)
def test_better_policies_impute_vectors_closer_to_true_vectors(
    pair: dict[str, Modality], policy: str, than: str
) -> None:
    """Lyrics of a third of the tracks are hidden and imputed."""
    lyrics = pair["lyrics"]
    hidden = lyrics.present & (np.random.default_rng(0).random(len(lyrics.present)) < 1 / 3)
    known = pair | {"lyrics": Modality("lyrics", np.where(hidden[:, None], 0, lyrics.matrix), lyrics.present & ~hidden)}

    def error(missing: str) -> float:
        fusion = Fusion.model_validate(
            {"missing": {"type": "em", "rank": 8} if missing == "em" else missing, "normalise": "none"}
        )
        blocks = prepared_blocks(known, fusion, np.ones(len(hidden), bool))
        return float(np.square(blocks["lyrics"][0 : len(hidden)][hidden] - lyrics.matrix[hidden]).sum())

    assert error(policy) < error(than)


def test_mask_token_learns_informative_missingness(demo: Demo, pair: dict[str, Modality]) -> None:
    """Electronic tracks lack lyrics more often, which a learned vector can represent and zeros cannot."""
    lyrics = pair["lyrics"]
    labels = torch.from_numpy(PLANTED["audio_features"][demo.taste])
    asked = torch.from_numpy(np.flatnonzero(demo.artists % 2 == 1))
    learned = torch.from_numpy(np.flatnonzero((demo.artists % 2 == 0) & (demo.artists >= 0)))

    def loss(missing: str) -> float:
        fusion = Fusion.model_validate({"missing": missing, "normalise": "none", "join": "sum"})
        torch.manual_seed(0)
        table = ItemTable(
            {"lyrics": lyrics}, fusion, hidden_size=8, train="frozen", played=np.ones(len(labels), bool), dropout=0.0
        )
        head = torch.nn.Linear(lyrics.dim, len(FAMILIES))
        fitted = [*head.parameters(), *table.masks.parameters()]

        def of(items: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.cross_entropy(head(table.modality("lyrics", items)), labels[items])

        _minimise(lambda: of(learned) + 1e-3 * sum(each.square().sum() for each in fitted), fitted)
        without = asked[~torch.from_numpy(lyrics.present)[asked]]
        return of(without).item()

    assert loss("mask_token") < loss("zero")


def _minimise(loss: Callable[[], Any], parameters: list[torch.Tensor]) -> None:
    optimiser = torch.optim.LBFGS(parameters, max_iter=200, line_search_fn="strong_wolfe")

    def step() -> Any:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    optimiser.step(step)
