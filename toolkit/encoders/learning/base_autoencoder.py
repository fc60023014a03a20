"""Base class for encoders whose vectors are the codes of an autoencoder."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from toolkit.contracts.learning import Learning, sample_rows
from toolkit.encoders.contract.content_hash import combined, hashed_normals
from toolkit.encoders.contract.encoder import Encoder, EncoderParams, FittedState, Progress
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.seeds import derived_seed, seeded_weights

if TYPE_CHECKING:
    from torch import Tensor

    from toolkit.encoders.learning.autoencoder_network import Autoencoder
    from toolkit.encoders.learning.train_network import Epoch


class AutoencoderParams(EncoderParams):
    """Parameters of every encoder with an autoencoder.

    - latent: size of the code.
    - epochs, batch: number of epochs and batch size.
    - lr: initial learning rate of Adam, which decays to zero.
    """

    latent: int = Field(128, ge=1)
    epochs: int = Field(20, ge=1)
    batch: int = Field(64, ge=1)
    lr: float = Field(1e-3, gt=0)


class VariationalParams(AutoencoderParams):
    """Parameters of a variational autoencoder.

    - beta: weight of the prior in the loss.
    - output: `mu`, `mu+sigma` (both, with 2 · latent columns) or `sample` (one fixed draw per input).
    """

    beta: float = Field(1.0, ge=0)
    output: Literal["mu", "mu+sigma", "sample"] = "mu"


class AutoencoderEncoder(Encoder):
    """Base class for encoders that return the code of a fitted autoencoder."""

    params: AutoencoderParams
    model: Autoencoder | None = None
    learning: Learning | None = Learning()
    curve: list[Epoch]
    """One row per epoch of the last fit: epoch, seconds, loss, error, and kl if variational."""

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.curve = []

    @property
    def dim(self) -> int:
        return self.params.latent * (2 if self._output() == "mu+sigma" else 1)

    @abstractmethod
    def _build(self) -> Autoencoder:
        """Return the untrained network."""

    def _output(self) -> Literal["mu", "mu+sigma", "sample"]:
        return self.params.output if isinstance(self.params, VariationalParams) else "mu"

    def _train(
        self,
        load: Callable[[np.ndarray], Tensor],
        digests: np.ndarray,
        *,
        workdir: Path | None,
        progress: Progress | None,
        bf16: bool = False,
        threads: int | None = None,
    ) -> None:
        """Train a new network on the inputs with n digests, uint8 [n, 16].

        - load: function that returns a batch for given rows.
        """
        from toolkit.encoders.learning.train_network import Schedule, train

        params = self.params
        about = json.dumps([self.name, self.version, params.model_dump(mode="json"), self.seed])
        identity = combined(about.encode(), np.ascontiguousarray(digests).tobytes())
        beta = params.beta if isinstance(params, VariationalParams) else 0.0
        seed = derived_seed(self.seed, self.name, "train")
        schedule = Schedule(params.epochs, params.batch, params.lr, beta, seed, self.device, identity, bf16, threads)
        model = seeded_weights(self._build, derived_seed(self.seed, self.name, "weights"))
        what = f"fit {self.name}"
        self.curve = train(model, load, len(digests), schedule, workdir=workdir, progress=progress, what=what)
        self.model = model
        # pictures are wide, and a few hundred show their rank
        size = load(np.arange(1)).numel()
        inputs = load(sample_rows(len(digests), size)).flatten(1).numpy()
        self.learning = model.learning.of_task(inputs)

    def _embed(self, batch: Tensor, digests: np.ndarray | None) -> np.ndarray:
        """Return the embeddings of a batch. Digests, uint8 [b, 16], seed the noise of `sample`."""
        import torch

        noise = None
        if digests is not None:
            drawn = hashed_normals(digests, self.params.latent, seed=derived_seed(self.seed, self.name, "sample"))
            noise = torch.from_numpy(drawn).to(self.device)
        with torch.inference_mode():
            return self._fitted().embed(batch.to(self.device), self._output(), noise).float().cpu().numpy()

    def _fitted(self) -> Autoencoder:
        if self.model is None:
            raise not_fitted(self.name)
        return self.model

    def fitted_state(self) -> FittedState | None:
        from toolkit.encoders.learning.train_network import weights

        return None if self.model is None else FittedState(weights(self.model), {"curve": self.curve})

    def restore(self, state: FittedState) -> None:
        from toolkit.encoders.learning.train_network import restored

        self.curve = state.values["curve"]
        self.model = restored(self._build, state.tensors).to(self.device).eval()
