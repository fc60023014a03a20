"""Content centroid, a ranking by similarity to the mean content of the seeds, for played and unplayed tracks."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from pydantic import Field

from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.contracts.saved_arrays import TRACKS, Layout, flags, floats
from toolkit.corpus.queries import Queries
from toolkit.modality import Modality
from toolkit.plugins import suggest
from toolkit.ranker import Capabilities, FitInputs, Scorer, TrainingData


class ContentCentroidParams(BaselineParams):
    modalities: list[str] | None = Field(None, min_length=1, description="default: all modalities")


class ContentCentroid(Baseline):
    """Ranks tracks by how close their content is to the mean content of the seeds.

    Score of a track: cosine between its vector and the mean of the seeds' vectors with unit norm, averaged over
    modalities.

    A modality counts if both the track and a seed have it. Seeds without the modality are left out of the mean. A track
    that shares no modality with the seeds cannot be ranked (-inf).

    State: for each modality, vectors float32 [V + 1, d] with unit norm and present bool [V + 1].
    """

    name = "content-centroid"
    Params = ContentCentroidParams
    capabilities = Capabilities(content="required", cold_tracks=True, deterministic=True)

    def learn(self, data: TrainingData) -> State:
        state: State = {}
        for number, modality in enumerate(self._selected(data.modalities)):
            state[f"vectors.{number}"], state[f"present.{number}"] = unit_vectors(modality)
        return state

    def _selected(self, modalities: dict[str, Modality]) -> list[Modality]:
        return [modalities[name] for name in self.params.modalities or sorted(modalities)]

    def input_problem(self, inputs: FitInputs) -> str:
        known = list(inputs.modalities)
        unknown = next((name for name in self.params.modalities or () if name not in known), None)
        return "" if unknown is None else f"{unknown!r} is not a modality: {suggest(unknown, known)}"

    def layout(self, names: Collection[str]) -> Layout:
        numbers = range(len(names) // 2)
        return {f"vectors.{number}": floats(TRACKS, f"dim.{number}") for number in numbers} | {
            f"present.{number}": flags(TRACKS) for number in numbers
        }

    def scorer(self, queries: Queries) -> Scorer:
        seeds = queries.matrix(self.n_items)
        numbers = range(len(self.state) // 2)
        vectors = [self.state[f"vectors.{number}"] for number in numbers]
        present = np.stack([self.state[f"present.{number}"] for number in numbers]).astype(np.float32)  # (M, V + 1)
        centroids = [_unit(seeds @ matrix) for matrix in vectors]
        has_seed = np.asarray(seeds @ present.T > 0, np.float32)  # (B, M)

        def score(items: np.ndarray) -> np.ndarray:
            cosines = (centroid @ matrix[items].T for centroid, matrix in zip(centroids, vectors, strict=True))
            shared = has_seed @ present[:, items]
            mean = np.asarray(sum(cosines, start=np.float32(0)), np.float32) / np.maximum(shared, 1.0)
            mean[shared == 0] = -np.inf
            return mean

        return score


def unit_vectors(modality: Modality) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors scaled to unit norm, float32 [V + 1, d], and which tracks have a vector, bool [V + 1].

    Rows of tracks without the modality are zero.
    """
    present = np.array(modality.present, dtype=bool)
    present[0] = False
    return _unit(np.where(present[:, None], modality.matrix, 0).astype(np.float32)), present


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0, lengths, 1), np.float32)
