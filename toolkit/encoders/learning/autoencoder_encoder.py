"""What the encoders built on an autoencoder share: parameters, fitting, embedding, files."""

from __future__ import annotations

import json
from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.content_hash import combined, hashed_normals
from toolkit.encoders.contract.encoder import Encoder, EncoderParams, Progress
from toolkit.encoders.contract.encoder_files import Tensors, load_encoder, save_encoder
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.seeds import derived_seed

if TYPE_CHECKING:
    from torch import Tensor

    from toolkit.encoders.learning.autoencoder import Autoencoder


class AutoencoderParams(EncoderParams):
    """Parameters of every encoder built on an autoencoder."""

    latent: int = Field(128, ge=1)
    epochs: int = Field(20, ge=1)
    batch: int = Field(64, ge=1)
    lr: float = Field(1e-3, gt=0)


class VariationalParams(AutoencoderParams):
    """beta weighs the prior; output is `mu`, `mu+sigma` (side by side, 2 x latent) or `sample` (one draw, fixed per input)."""

    beta: float = Field(1.0, ge=0)
    output: Literal["mu", "mu+sigma", "sample"] = "mu"


class AutoencoderBase(Encoder):
    """An encoder whose output is the code of a fitted autoencoder."""

    params: Any
    model: Autoencoder | None = None
    curve: list[dict[str, Any]]
    """One row per epoch of the last fit: epoch, seconds, loss, error, and kl where variational."""

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.curve = []

    @property
    def dim(self) -> int:
        latent: int = self.params.latent
        return 2 * latent if self._output() == "mu+sigma" else latent

    @abstractmethod
    def _build(self) -> Autoencoder:
        """The untrained network."""

    def _output(self) -> Literal["mu", "mu+sigma", "sample"]:
        return getattr(self.params, "output", "mu")

    def _train(
        self,
        load: Any,
        n: int,
        marks: np.ndarray,
        *,
        workdir: Path | None,
        progress: Progress | None,
        bf16: bool = False,
        threads: int | None = None,
    ) -> None:
        """Fit a new network on n inputs of the given digests; `load(rows)` gives a batch."""
        from toolkit.encoders.learning.autoencoder import seeded
        from toolkit.encoders.learning.train_network import Schedule, train

        params = self.params
        about = json.dumps([self.name, self.version, params.model_dump(mode="json"), self.seed])
        identity = combined(about.encode(), np.ascontiguousarray(marks).tobytes())
        beta, seed = getattr(params, "beta", 0.0), derived_seed(self.seed, self.name, "train")
        schedule = Schedule(params.epochs, params.batch, params.lr, beta, seed, self.device, identity, bf16, threads)
        model = seeded(self._build, derived_seed(self.seed, self.name, "weights"))
        self.curve = train(model, load, n, schedule, workdir=workdir, progress=progress, what=f"fit {self.name}")
        self.model = model

    def _embed(self, batch: Tensor, marks: np.ndarray | None) -> np.ndarray:
        """Embeddings of one batch; marks uint8 [b, 16] seed the noise of `sample`."""
        import torch

        noise = None
        if marks is not None:
            drawn = hashed_normals(marks, self.params.latent, seed=derived_seed(self.seed, self.name, "sample"))
            noise = torch.from_numpy(drawn).to(self.device)
        with torch.inference_mode():
            return self._fitted().embed(batch.to(self.device), self._output(), noise).float().cpu().numpy()

    def _fitted(self) -> Autoencoder:
        if self.model is None:
            raise not_fitted(self.name)
        return self.model

    def _tensors(self) -> Tensors | None:
        """What beside parameters `load` needs; None where not fitted."""
        if self.model is None:
            return None
        return {f"model.{name}": value.cpu().numpy() for name, value in self.model.state_dict().items()}

    def _adopt(self, tensors: Tensors) -> None:
        """Take over what `_tensors` gave."""
        from toolkit.encoders.learning.train_network import load_weights

        model = self._build()
        load_weights(
            model, {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        )
        self.model = model.to(self.device).eval()

    def save(self, directory: Path) -> None:
        save_encoder(self, directory, self._tensors(), curve=self.curve)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        encoder, tensors, about = load_encoder(cls, directory, device=device)
        encoder.curve = about["curve"]
        if tensors is not None:
            encoder._adopt(tensors)
        return encoder
