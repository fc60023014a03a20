"""Random order of tracks that is fixed for each query, the lower bound in result tables."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import numpy as np
from pydantic import Field

from toolkit.baselines.baseline import Baseline, BaselineParams, State
from toolkit.contracts.saved_arrays import Layout, integers
from toolkit.corpus.queries import Queries
from toolkit.ranker import Scorer, TrainingData


class RandomParams(BaselineParams):
    seed: int | None = Field(None, ge=0, description="default: the seed of the run")


class RandomOrder(Baseline):
    """Ranks tracks in a random order that is fixed for each query.

    Scores are in [0, 1), computed by a hash of the random seed, the seeds of the query and the item. They do not depend
    on blocks, batches or processes.
    """

    name = "random"
    Params = RandomParams

    def learn(self, data: TrainingData) -> State:
        seed = data.seed if self.params.seed is None else self.params.seed
        return {"seed": np.array([seed], np.int64)}

    def layout(self, names: Collection[str]) -> Layout:
        return {"seed": integers(1)}

    def scorer(self, queries: Queries) -> Scorer:
        seed = int(self.state["seed"][0])
        keys = np.array(
            [_key(seed, queries.seeds[a:b]) for a, b in zip(queries.offsets[:-1], queries.offsets[1:], strict=True)],
            np.uint64,
        )

        def score(items: np.ndarray) -> np.ndarray:
            mixed = _mix(keys[:, None] + _mix(np.asarray(items, np.uint64))[None, :])
            # 24 bits: every value is exact in float32
            return (mixed >> np.uint64(40)).astype(np.float32) / np.float32(2**24)

        return score


def _key(seed: int, seeds: np.ndarray) -> int:
    content = seed.to_bytes(8, "little") + np.ascontiguousarray(seeds, "<i4").tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")


def _mix(values: np.ndarray) -> np.ndarray:
    """Mix the bits of uint64 values, modulo 2**64, by SplitMix64's finaliser (Steele, Lea and Flood 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
