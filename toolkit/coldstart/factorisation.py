"""Weighted matrix factorisation of feedback, with a closed form for new users.

Source: Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets": minimise Σ c_ui (p_ui −
x_u · y_i)² + λ (Σ |x_u|² + Σ |y_i|²) over all users and items, where p is 1 for played items and 0 otherwise. The
confidence c = 1 + α log(1 + r / ε) for r plays is taken from van den Oord, Dieleman and Schrauwen 2013, "Deep
content-based music recommendation", section 3. Alternating least squares are computed by `implicit` (MIT), whose matrix
contains c where r > 0, not c − 1.
"""

from __future__ import annotations

import hashlib
import warnings
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp

from toolkit import devices
from toolkit.encoders.contract.encoder_files import read_tensors, write_tensors
from toolkit.errors import DataError, InputError, require
from toolkit.files import digest, locked
from toolkit.packages import IMPLICIT
from toolkit.recipe import FactorSpec
from toolkit.seeds import derived_seed
from toolkit.source_code import library_versions

if TYPE_CHECKING:
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.gpu.als import AlternatingLeastSquares as OnGpu

    from toolkit.corpus.splits import PlaylistSet
    from toolkit.progress import Progress

FILE = "factors.safetensors"
VERSION = "1"
"""Version of the numbers. It changes whenever the same feedback and settings give other factors."""


@dataclass(frozen=True)
class Factors:
    """Factors of users and items.

    - users: float32 [n, k], in the order of the playlists.
    - items: float32 [V + 1, k]. Rows of items without feedback are zero.
    - known: items with feedback, bool [V + 1].
    - spec: the settings of the factorisation.
    """

    users: np.ndarray
    items: np.ndarray
    known: np.ndarray
    spec: FactorSpec

    @property
    def k(self) -> int:
        return int(self.items.shape[1])


class FoldIn:
    """Exact factors of any user with fixed item factors Y: x_u = (Yᵀ C_u Y + λ I)⁻¹ Yᵀ C_u p_u.

    - items: float32 [V + 1, k].
    - known: rows of `items` to use, bool [V + 1].
    """

    def __init__(self, items: np.ndarray, known: np.ndarray, spec: FactorSpec) -> None:
        self._known, self._spec = known, spec
        self._model = _cpu_model(spec, items.shape[1], seed=0)
        self._model.item_factors = np.where(known[:, None], items, np.float32(0))

    def __call__(self, plays: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
        """Return factors float32 [B, k] of users from their plays [B, V + 1], and which users have any, bool [B]."""
        plays = sp.csr_matrix(plays, dtype=np.float32, copy=True)
        plays.data *= self._known[plays.indices]
        confidence = confidence_of(plays, self._spec)
        with _one_thread():
            users = self._model.recalculate_user(np.arange(confidence.shape[0]), confidence)
        return users, np.diff(confidence.indptr) > 0


def factorise(
    plays: sp.csr_matrix, spec: FactorSpec, *, seed: int = 0, device: str = "cpu", progress: Progress | None = None
) -> Factors:
    """Return the factors of plays [n, V + 1], where column 0 is padding.

    - device: the device of the run. `spec.device` takes precedence.
    - progress: called with the iterations done, all iterations, and `factorise`.

    Raises `InputError` if there is no feedback, or if `spec` requires a CUDA device that `implicit` cannot use.
    """
    confidence = confidence_of(plays, spec)
    if not confidence.nnz:
        raise InputError(
            "the training split has 0 playlist entries, and a factorisation requires some: add playlists with tracks"
        )
    model = (_gpu_model if _on_gpu(spec, device) else _cpu_model)(spec, spec.k, seed=seed)
    known = np.bincount(confidence.indices, minlength=plays.shape[1]) > 0

    def report(iteration: int, *_: object) -> None:
        if progress is not None:
            progress(iteration + 1, spec.iterations, "factorise")

    with _one_thread():
        model.fit(confidence, show_progress=False, callback=report)
    users, items = (
        np.asarray(part.to_numpy() if hasattr(part, "to_numpy") else part)
        for part in (model.user_factors, model.item_factors)
    )
    # under conjugate gradients items without feedback keep a part of their random start
    return Factors(users, np.where(known[:, None], items, np.float32(0)), known, spec)


def confidence_of(plays: sp.csr_matrix, spec: FactorSpec) -> sp.csr_matrix:
    """Return 1 + α log(1 + r / ε) where r > 0, float32."""
    confidence = sp.csr_matrix(plays, dtype=np.float32, copy=True)
    confidence.eliminate_zeros()
    confidence.data = (1 + spec.alpha * np.log1p(confidence.data.astype(np.float64) / spec.epsilon)).astype(np.float32)
    return confidence


def _one_thread() -> AbstractContextManager[object]:
    """Return a context that limits BLAS to one thread, because `implicit` starts its own threads.

    Raises `MissingPackage`.
    """
    limits: AbstractContextManager[object] = require("threadpoolctl", install=IMPLICIT.install).threadpool_limits(
        1, "blas"
    )
    return limits


def _on_gpu(spec: FactorSpec, device: str) -> bool:
    gpu = require("implicit.gpu", install=IMPLICIT.install)
    if spec.device == "cuda" and not gpu.HAS_CUDA:
        raise InputError(
            "`coldstart.factors.device: cuda` requires a CUDA device, but `implicit` detects none: set `device` to"
            " auto or cpu"
        )
    return bool(gpu.HAS_CUDA) and (spec.device == "cuda" or (spec.device == "auto" and device.startswith("cuda")))


def _gpu_model(spec: FactorSpec, k: int, *, seed: int) -> OnGpu:
    from implicit.gpu.als import AlternatingLeastSquares as OnGpu

    return OnGpu(factors=k, regularization=spec.regularisation, iterations=spec.iterations, random_state=seed % 2**32)


def _cpu_model(spec: FactorSpec, k: int, *, seed: int) -> AlternatingLeastSquares:
    import torch

    with _one_thread():
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
    """Store of the factors of a training split, computed once for all systems of a run.

    - spec: the settings of the run. A system may request factors with other settings.
    - cache: folder for factors, stored under a hash of the split and the settings; None keeps them in memory.
    """

    train: PlaylistSet
    spec: FactorSpec = field(default_factory=FactorSpec)
    seed: int = 0
    device: str = "cpu"
    cache: Path | None = None
    progress: Progress | None = None
    _held: tuple[FactorSpec, Factors] | None = None

    def __call__(self, spec: FactorSpec | None = None) -> Factors:
        """Return the factors of the training split with the settings `spec`; None for the settings of the run."""
        spec = spec or self.spec
        if self._held is None or self._held[0] != spec:
            self._held = spec, self._cached(spec)
        return self._held[1]

    def _cached(self, spec: FactorSpec) -> Factors:
        if self.cache is None:
            return self._factorise(spec)
        settings, libraries = spec.model_dump(mode="json"), library_versions(IMPLICIT.distribution)
        inputs = [VERSION, self._split(), settings, self.seed, self.device, devices.threads(), libraries]
        place = self.cache / digest(inputs)
        with locked(place.with_suffix(".lock")):
            try:
                arrays = read_tensors(place / FILE)[0]
            except DataError as error:
                if (place / FILE).exists():
                    warnings.warn(f"cached factors are recomputed: {error}", RuntimeWarning, stacklevel=2)
                factors = self._factorise(spec)
                arrays = {"users": factors.users, "items": factors.items, "known": factors.known}
                write_tensors(place / FILE, arrays, settings)
            return Factors(**arrays, spec=spec)

    def _split(self) -> str:
        hasher = hashlib.blake2b(digest_size=16)
        plays = self.train.plays()
        for part in (plays.indptr, plays.indices, plays.data):
            hasher.update(np.ascontiguousarray(part).data)
        return hasher.hexdigest()

    def _factorise(self, spec: FactorSpec) -> Factors:
        seed = derived_seed(self.seed, "factors", spec.k)
        return factorise(self.train.plays(), spec, seed=seed, device=self.device, progress=self.progress)
