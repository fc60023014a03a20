"""`features-vae`: variational autoencoder for numeric features of a track.

Source: multimodal BERT4Rec report (USC), section 4.2.1, which maps 11 audio features to latent sizes 128 and 150. The
embedding is the mean, the mean with the standard deviation, or a sample. The ELBO follows Kingma and Welling 2014. No
pretrained weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Self

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.content_hash import digests
from toolkit.encoders.contract.encoder import EncoderParams, FittedState, Kind, Progress
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.encoders.features.standardise import Standardiser, as_matrix
from toolkit.encoders.learning.base_autoencoder import AutoencoderEncoder, VariationalParams

if TYPE_CHECKING:
    from toolkit.encoders.learning.autoencoder_network import Autoencoder

BLOCK = 4096
"""Number of inputs transformed at a time."""


class FeaturesVaeParams(VariationalParams):
    """Parameters of `features-vae`.

    - hidden: sizes of the encoder layers, which the decoder mirrors.
    """

    hidden: list[Annotated[int, Field(ge=1)]] = [64]
    beta: float = Field(0.05, ge=0)
    epochs: int = Field(30, ge=1)
    batch: int = Field(128, ge=1)
    lr: float = Field(2e-3, gt=0)


class FeaturesVaeEncoder(AutoencoderEncoder):
    """Feature encoder with a variational autoencoder (VAE) over standardised numeric features.

    Takes float32 [n, c]. Returns float32 [n, latent], or [n, 2 · latent] for `mu+sigma`.
    """

    name: ClassVar[str] = "features-vae"
    kind: ClassVar[Kind] = "features"
    requires_fit: ClassVar[bool] = True
    source: ClassVar[str] = "multimodal BERT4Rec report (USC) §4.2.1; Kingma and Welling 2014"
    Params: ClassVar[type[EncoderParams]] = FeaturesVaeParams
    params: FeaturesVaeParams
    standardiser: Standardiser | None = None

    def fit(
        self,
        inputs: np.ndarray,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Fit the autoencoder to float32 [n, c], n >= 1. A killed fit resumes from `workdir`."""
        import torch

        matrix = as_matrix(inputs)
        self.standardiser = Standardiser.fit(matrix)
        table, content = torch.from_numpy(self.standardiser.apply(matrix)), digests("features", matrix)
        self._train(lambda rows: table[torch.from_numpy(rows)], content, workdir=workdir, progress=progress, threads=1)
        return self

    def transform(self, inputs: np.ndarray, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for float32 [n, c]."""
        self._fitted()
        return self._in_batches(inputs, BLOCK, self._rows, progress)

    def _rows(self, inputs: np.ndarray) -> np.ndarray:
        import torch

        part = as_matrix(inputs)
        content = digests("features", part) if self.params.output == "sample" else None
        return self._embed(torch.from_numpy(self._standardiser().apply(part)), content)

    def reconstruct(self, inputs: np.ndarray) -> np.ndarray:
        """Decode the posterior mean of each input. Returns float32 [n, c] in the units of the inputs."""
        import torch

        standardiser, model = self._standardiser(), self._fitted()
        table = torch.from_numpy(standardiser.apply(as_matrix(inputs))).to(self.device)
        with torch.inference_mode():
            decoded = model.decoder(model.encode(table)[0]).cpu().numpy()
        return (decoded * standardiser.scale + standardiser.mean).astype(np.float32)

    def _standardiser(self) -> Standardiser:
        if self.standardiser is None:
            raise not_fitted(self.name)
        return self.standardiser

    def _build(self) -> Autoencoder:
        from toolkit.encoders.learning.autoencoder_network import mlp_autoencoder

        return mlp_autoencoder(len(self._standardiser().mean), self.params.hidden, self.params.latent)

    def fitted_state(self) -> FittedState | None:
        state = super().fitted_state()
        return state and FittedState(state.tensors | self._standardiser().tensors(), state.values)

    def restore(self, state: FittedState) -> None:
        self.standardiser = Standardiser.restored(state.tensors)
        super().restore(state)
