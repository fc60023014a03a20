"""Weighted matrix factorisation of feedback, and its closed form for users met later.

Source: Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets": minimise Σ c_ui (p_ui − x_u · y_i)² +
λ (Σ |x_u|² + Σ |y_i|²) over all users and items, where p is 1 for what was played and 0 elsewhere. The confidence
c = 1 + α log(1 + r / ε) of r plays is that of van den Oord, Dieleman and Schrauwen 2013, "Deep content-based music recommendation",
section 3. Alternating least squares by `implicit` (MIT), whose matrix holds c itself where r > 0, and no α − 1 or c − 1.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from toolkit.errors import InputError
from toolkit.files import digest, folder, locked
from toolkit.recipe import FactorSpec
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    from toolkit.corpus.splits import PlaylistSet

FILE = "factors.safetensors"
VERSION = "1"
"""Of the numbers: changes whenever the same feedback and settings would give other factors."""


@dataclass(frozen=True)
class Factors:
    """users float32 [n, k], in the order of the playlists; items float32 [V + 1, k]; known bool [V + 1], items with feedback.

    Rows of items without feedback are zero and mean nothing.
    """

    users: np.ndarray
    items: np.ndarray
    known: np.ndarray
    spec: FactorSpec

    @property
    def k(self) -> int:
        return int(self.items.shape[1])

    def fold_in(self) -> FoldIn:
        """What gives users met later their factors."""
        return FoldIn(self.items, self.known, self.spec)


class FoldIn:
    """x_u = (Yᵀ C_u Y + λ I)⁻¹ Yᵀ C_u p_u with the items' factors Y held, exactly, for any user's plays.

    items: float32 [V + 1, k]; known: bool [V + 1], rows of `items` that count.
    """

    def __init__(self, items: np.ndarray, known: np.ndarray, spec: FactorSpec) -> None:
        self._known, self._spec = known, spec
        self._model = _model(spec, items.shape[1], seed=0, gpu=False)
        self._model.item_factors = np.where(known[:, None], items, np.float32(0))

    def __call__(self, plays: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """Factors float32 [B, k] of users by their plays [B, V + 1], and bool [B]: who has played anything with factors."""
        heard = sp.csr_matrix(plays, dtype=np.float32, copy=True)
        heard.data *= self._known[heard.indices]
        confidence = confidence_of(heard, self._spec)
        with threadpool_limits(1, "blas"):
            users = self._model.recalculate_user(np.arange(confidence.shape[0]), confidence)
        return users, np.diff(confidence.indptr) > 0


def factorise(
    plays: sp.csr_matrix, spec: FactorSpec, *, seed: int = 0, device: str = "cpu", progress: Any = None
) -> Factors:
    """Factors of plays [n, V + 1]: counts, 0 for nothing; column 0 is padding.

    device: of the run; `spec.device` may say otherwise. progress: called with (iterations done, iterations, what).
    Raises `InputError` where there is no feedback, or a CUDA device is asked for that `implicit` cannot use.
    """
    confidence = confidence_of(plays, spec)
    if not confidence.nnz:
        raise InputError("there is no feedback to factorise: the training split has no placements")
    model = _model(spec, spec.k, seed=seed, gpu=_on_gpu(spec, device))
    known = np.bincount(confidence.indices, minlength=plays.shape[1]) > 0
    told: Callable[..., None] | None = None
    if progress is not None:
        told = lambda done, *_: progress(done + 1, spec.iterations, "factorise")  # noqa: E731
    with threadpool_limits(1, "blas"):
        model.fit(confidence, show_progress=False, callback=told)
    users, items = (
        np.asarray(part.to_numpy() if hasattr(part, "to_numpy") else part)
        for part in (model.user_factors, model.item_factors)
    )
    # what has no feedback keeps something of its random start under conjugate gradients
    return Factors(users, np.where(known[:, None], items, np.float32(0)), known, spec)


def confidence_of(plays: sp.csr_matrix, spec: FactorSpec) -> sp.csr_matrix:
    """1 + α log(1 + r / ε) where r > 0, float32."""
    confidence = sp.csr_matrix(plays, dtype=np.float32, copy=True)
    confidence.eliminate_zeros()
    confidence.data = (1 + spec.alpha * np.log1p(confidence.data.astype(np.float64) / spec.epsilon)).astype(np.float32)
    return confidence


def _on_gpu(spec: FactorSpec, device: str) -> bool:
    import implicit.gpu

    if spec.device == "cuda" and not implicit.gpu.HAS_CUDA:
        raise InputError(
            "coldstart.factors.device=cuda, but `implicit` finds no CUDA device here: use device: auto or cpu"
        )
    return bool(implicit.gpu.HAS_CUDA) and (
        spec.device == "cuda" or (spec.device == "auto" and device.startswith("cuda"))
    )


def _model(spec: FactorSpec, k: int, *, seed: int, gpu: bool) -> Any:
    import torch

    with threadpool_limits(1, "blas"):
        if gpu:
            from implicit.gpu.als import AlternatingLeastSquares as OnGpu

            return OnGpu(
                factors=k, regularization=spec.regularisation, iterations=spec.iterations, random_state=seed % 2**32
            )
        from implicit.cpu.als import AlternatingLeastSquares

        return AlternatingLeastSquares(
            factors=k,
            regularization=spec.regularisation,
            iterations=spec.iterations,
            use_cg=spec.solver == "conjugate-gradient",
            num_threads=torch.get_num_threads(),
            random_state=seed % 2**32,
        )


@dataclass
class FactorStore:
    """Factors of one training split, each kind computed once for all systems of a run.

    spec: the run's; a system may ask for another. cache: a folder where they outlive the process, under a hash of the split.
    """

    train: PlaylistSet
    spec: FactorSpec = field(default_factory=FactorSpec)
    seed: int = 0
    device: str = "cpu"
    cache: Path | None = None
    progress: Any = None
    _held: tuple[FactorSpec, Factors] | None = None

    def __call__(self, spec: FactorSpec | None = None) -> Factors:
        """Factors of the training split under `spec`, default the run's."""
        spec = spec or self.spec
        if self._held is None or self._held[0] != spec:
            self._held = spec, self._cached(spec)
        return self._held[1]

    def _cached(self, spec: FactorSpec) -> Factors:
        if self.cache is None:
            return self._made(spec)
        place = self.cache / digest([VERSION, self._split(), spec.model_dump(mode="json"), self.seed, self.device])
        with locked(place.with_suffix(".lock")):
            if not (place / FILE).exists():
                made = self._made(spec)
                with folder(place) as unfinished:
                    _write(made, unfinished)
            return _read(place, spec)

    def _split(self) -> str:
        hasher = hashlib.blake2b(digest_size=16)
        plays = self.train.plays()
        for part in (plays.indptr, plays.indices, plays.data):
            hasher.update(np.ascontiguousarray(part).data)
        return hasher.hexdigest()

    def _made(self, spec: FactorSpec) -> Factors:
        seed = derived_seed(self.seed, "factors", spec.k)
        return factorise(self.train.plays(), spec, seed=seed, device=self.device, progress=self.progress)


def _write(factors: Factors, place: Path) -> None:
    from safetensors.numpy import save_file

    save_file({"users": factors.users, "items": factors.items, "known": factors.known}, str(place / FILE))
    (place / "factors.json").write_text(json.dumps(factors.spec.model_dump(mode="json"), indent=1) + "\n")


def _read(place: Path, spec: FactorSpec) -> Factors:
    from safetensors.numpy import load_file

    return Factors(**load_file(str(place / FILE)), spec=spec)
