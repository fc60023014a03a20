"""Encoders that each break one rule of the contract."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import model_validator

from toolkit.encoders.contract.encoder import Encoder
from toolkit.encoders.features.codes import CodesEncoder, CodesParams
from toolkit.encoders.features.features import FeaturesEncoder


class Float64(CodesEncoder):
    def transform(self, inputs, *, progress=None):
        return super().transform(inputs).astype(np.float64)


class WrongDim(CodesEncoder):
    def transform(self, inputs, *, progress=None):
        return super().transform(inputs)[:, 1:]


class NotFinite(CodesEncoder):
    def transform(self, inputs, *, progress=None):
        rows = super().transform(inputs)
        rows[:1] = np.nan
        return rows


class GlobalRandom(CodesEncoder):
    def transform(self, inputs, *, progress=None):
        return np.random.default_rng().normal(size=(len(inputs), self.dim)).astype(np.float32)


class ByPlace(CodesEncoder):
    def transform(self, inputs, *, progress=None):
        rows = super().transform(inputs)
        return rows + np.arange(len(rows), dtype=np.float32)[:, None]


class ByBatch(CodesEncoder):
    def transform(self, inputs, *, progress=None):
        rows = super().transform(inputs)
        return rows - rows.mean(axis=0) if len(rows) else rows


class Constant(CodesEncoder):
    def transform(self, inputs, *, progress=None):
        return np.ones((len(inputs), self.dim), np.float32)


class NoEmpty(CodesEncoder):
    def transform(self, inputs, *, progress=None):
        return super().transform(inputs) if len(inputs) else np.zeros((0, 1), np.float32)


class ForgetsSeed(CodesEncoder):
    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu"):
        loaded = super().load(directory, device=device)
        loaded.seed += 1
        return loaded


class RandomFingerprint(CodesEncoder):
    def fingerprint(self):
        return str(np.random.default_rng().integers(2**60))


class NoSource(CodesEncoder):
    source = ""


class UnknownKind(CodesEncoder):
    kind = "smell"


class LooseParams(CodesParams):
    model_config = {"extra": "ignore"}

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values):
        return {}


class TakesAnyKey(CodesEncoder):
    Params = LooseParams


class Remembers(FeaturesEncoder):
    """Encoder whose second fit is averaged with the first fit."""

    def fit(self, inputs, targets=None, *, workdir=None, progress=None):
        before = self.standardiser
        super().fit(inputs)
        if before is not None:
            self.standardiser.mean[:] = (self.standardiser.mean + before.mean) / 2
        return self


class GuessesUnfitted(FeaturesEncoder):
    def transform(self, inputs, *, progress=None):
        return super().transform(inputs) if self.standardiser else np.asarray(inputs, np.float32)


class ChangesInputs(FeaturesEncoder):
    def transform(self, inputs, *, progress=None):
        rows = super().transform(inputs)
        np.asarray(inputs)[:1] += 1
        return rows


class StaleCheckpoint(FeaturesEncoder):
    """Encoder that resumes from any checkpoint in its workdir."""

    def fit(self, inputs, targets=None, *, workdir=None, progress=None):
        super().fit(inputs)
        if workdir is not None:
            path = Path(workdir) / "mean.npy"
            if path.exists():
                self.standardiser.mean[:] = np.load(path)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, self.standardiser.mean)
        return self


CATEGORY: list[tuple[type[Encoder], str]] = [
    (Float64, "float64, not float32"),
    (WrongDim, r"must return \(n, dim\)"),
    (NotFinite, "must return finite numbers"),
    (GlobalRandom, "encoders with equal seeds must return identical vectors"),
    (ByPlace, "order of the inputs"),
    (ByBatch, "must not depend on the batch"),
    (Constant, "every input has the same embedding"),
    (NoEmpty, "transform of an empty input returned"),
    (ForgetsSeed, "load returned seed 1"),
    (RandomFingerprint, "equal parameters must have equal cache keys"),
    (NoSource, "source=.* must name"),
    (UnknownKind, "kind='smell' must be one of"),
    (TakesAnyKey, "must reject unknown keys"),
]
FEATURES: list[tuple[type[Encoder], str]] = [
    (Remembers, "a second fit must not depend on the first"),
    (GuessesUnfitted, "before fit must raise"),
    (ChangesInputs, "must not change the inputs"),
    (StaleCheckpoint, "must not resume from a checkpoint of other inputs"),
]
