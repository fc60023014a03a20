"""Tracks of six tastes, a third of them unplayed, with words, tags, entities and audio for each taste."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from tests.coldstart.conftest import corpus_of
from toolkit import plugins
from toolkit.coldstart.factorisation import FactorStore
from toolkit.corpus.splits import HeldOut, PlaylistSet
from toolkit.encoders.contract import registry
from toolkit.evaluation.significance import Difference, paired_differences
from toolkit.modality import Modality
from toolkit.ranker import Ranker, TrainingData
from toolkit.recipe import FactorSpec

TASTES, TRACKS, COLD, USERS, ASKED = 6, 180, 60, 240, 60
FACTORS = FactorSpec(k=8, iterations=8)
FILLER = ["they", "come", "from", "a", "town", "by", "the", "river", "and", "play", "songs", "at", "night"]
WRONG = 0.15
"""Share of tracks whose content is of another taste: no content is a perfect prediction."""


@dataclass(frozen=True)
class Planted:
    """Planted corpus, with the taste of each track, int [V] (item i + 1), and the taste in its content, int [V]."""

    data: TrainingData
    test: HeldOut
    taste: np.ndarray
    kinds: np.ndarray

    @cached_property
    def factors(self) -> np.ndarray:
        """Factors of the training split, float32 [V, k]."""
        return FactorStore(self.data.train, FACTORS, seed=self.data.seed)().items[1:]

    @cached_property
    def warm(self) -> np.ndarray:
        """Tracks in training playlists, bool [V]."""
        return self.data.train.counts()[1:] > 0

    def learned(self, encoder: str, inputs: Sequence[str], name: str = "content", **params: Any) -> Modality:
        """Return the encoded vectors of all tracks, after a fit of the encoder on tracks in training playlists."""
        made = registry.create(encoder, params, seed=1, device="cpu")
        taught = [text for text, played in zip(inputs, self.warm, strict=True) if played]
        made.fit(taught, self.factors[self.warm]) if made.supervised else made.fit(taught)
        return modality(made.transform(list(inputs)), name)

    def fitted(self, ranker: str, *modalities: Modality, **params: Any) -> Ranker:
        data = replace(self.data, modalities={one.name: one for one in modalities}, device="cpu")
        cls = plugins.load("segue.rankers", ranker)
        if "factors" in cls.Params.model_fields:
            params["factors"] = FACTORS.model_dump()
        return cls(**params).fit(data)

    def aucs(self, ranker: Ranker) -> np.ndarray:
        """Return the AUC of each playlist's hidden tracks among all unplayed tracks: float64 [B]."""
        cold = np.flatnonzero(~self.warm) + 1
        hidden, offsets = self.test.hidden()
        scores = np.maximum(ranker.score(self.test.queries(), cold), -1e30)
        wanted = [np.isin(cold, hidden[low:high]) for low, high in pairwise(offsets)]
        return np.array([roc_auc_score(one, row) for one, row in zip(wanted, scores, strict=True)])

    @cached_property
    def chance(self) -> np.ndarray:
        return self.aucs(self.fitted("random-factors"))

    @cached_property
    def bound(self) -> np.ndarray:
        return self.aucs(self.fitted("factor-upper-bound"))


def modality(rows: np.ndarray, name: str = "content", present: np.ndarray | None = None) -> Modality:
    """Return a modality with rows [V, d] of all tracks, or of the tracks in `present`."""
    there = np.concatenate([[False], np.ones(len(rows), bool) if present is None else present])
    matrix = np.concatenate([np.zeros((1, rows.shape[1]), np.float32), rows]).astype(np.float32)
    return Modality(name, matrix * there[:, None], there)


def difference(better: np.ndarray, worse: np.ndarray) -> Difference:
    """Return the mean difference of two systems over the same playlists, with its 95 % interval."""
    return paired_differences(better[:, None], worse[:, None], np.arange(len(better)), seed=0, samples=500)[0]


def plant(seed: int = 5) -> Planted:
    """Return playlists of one taste, with an eighth of the tracks from another taste.

    Held-out playlists hide three unplayed tracks.
    """
    rng = np.random.default_rng(seed)
    taste = np.arange(TRACKS) % TASTES
    cold = np.arange(TRACKS) >= TRACKS - COLD
    lists, cuts = [], []
    for row in range(USERS + ASKED):
        own = taste == row % TASTES
        shown = [
            *rng.choice(np.flatnonzero(own & ~cold), 7, replace=False),
            *rng.choice(np.flatnonzero(~own & ~cold), 1),
        ]
        new = rng.choice(np.flatnonzero(own & cold), 3, replace=False) if row >= USERS else []
        lists.append([int(track) + 1 for track in [*shown, *new]])
        cuts.append(len(shown))
    corpus = corpus_of(lists, TRACKS)
    starts, ends = corpus.offsets[:-1], corpus.offsets[1:]
    held = np.arange(USERS, USERS + ASKED)
    test = HeldOut(corpus, held, starts[held], starts[held] + np.array(cuts)[held], ends[held])
    train = PlaylistSet(corpus, np.arange(USERS), starts[:USERS], ends[:USERS])
    wrong = rng.random(TRACKS) < WRONG
    return Planted(TrainingData(train, seed=3), test, taste, np.where(wrong, rng.integers(0, TASTES, TRACKS), taste))


def biographies(planted: Planted, seed: int = 0) -> list[str]:
    """Return texts with two words of the taste in each track's content."""
    rng = np.random.default_rng(seed)
    return [
        " ".join(rng.permutation([*rng.choice(FILLER, 8), *(f"word{kind}{rng.integers(4)}" for _ in range(2))]))
        for kind in planted.kinds
    ]


def tags(planted: Planted, seed: int = 1) -> list[str]:
    """Return three tags of the taste in each track's content, and a tag without information."""
    rng = np.random.default_rng(seed)
    return [
        ", ".join([*(f"tag {kind} {n}" for n in rng.permutation(5)[:3]), f"seen live {rng.integers(3)}"])
        for kind in planted.kinds
    ]


def of_entities(planted: Planted, seed: int = 2) -> tuple[list[str], str]:
    """Return texts that each name two different musicians, and a knowledge base about the musicians as N-Triples."""
    rng = np.random.default_rng(seed)
    resource, ontology, kind = (
        "http://dbpedia.org/resource/",
        "http://dbpedia.org/ontology/",
        "http://www.w3.org/1999/02/22-rdf-syntax-ns#type",
    )
    texts, triples = [], []
    for track, taste in enumerate(planted.kinds):
        names = [f"Ann_{letter}{track}" for letter in ("Rowe", "Lund")]
        texts.append(
            " ".join([*rng.choice(FILLER, 8), "with", names[0].replace("_", " "), "and", names[1].replace("_", " ")])
        )
        for name in names:
            triples.append(f"<{resource}{name}> <{kind}> <{ontology}MusicalArtist> .")
            triples.append(f"<{resource}{name}> <{ontology}genre> <{resource}Genre_{taste}> .")
    return texts, "\n".join(triples) + "\n"
