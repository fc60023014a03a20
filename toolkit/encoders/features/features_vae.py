"""`features-vae`: a variational autoencoder of the numbers that describe a track.

Source: multimodal BERT4Rec report (USC), section 4.2.1: 11 audio features to
latent sizes 128 and 150, with the mean, mean and deviation, or a sample as
embedding. Kingma and Welling 2014 for the ELBO. No pretrained weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from toolkit.encoders.contract.content_hash import digests
from toolkit.encoders.contract.encoder import EncoderParams, Kind, Progress
from toolkit.encoders.contract.encoder_files import Tensors
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.encoders.features.standardise import Standardiser, as_matrix
from toolkit.encoders.learning.autoencoder_encoder import AutoencoderBase, VariationalParams

if TYPE_CHECKING:
    from toolkit.encoders.learning.autoencoder import Autoencoder

BLOCK = 4096


class FeaturesVaeParams(VariationalParams):
    """hidden: sizes of the layers before the latent one, mirrored after it."""

    hidden: list[Annotated[int, Field(ge=1)]] = [64]
    beta: float = Field(0.05, ge=0)
    epochs: int = Field(30, ge=1)
    batch: int = Field(128, ge=1)
    lr: float = Field(2e-3, gt=0)


class FeaturesVaeEncoder(AutoencoderBase):
    """Encodes standardised numeric features with a variational autoencoder (VAE).

    Returns float32 [n, latent], or [n, 2 · latent] for `mu+sigma`.
    """

    name: ClassVar[str] = "features-vae"
    kind: ClassVar[Kind] = "features"
    learns: ClassVar[bool] = True
    source: ClassVar[str] = "multimodal BERT4Rec report (USC) §4.2.1; Kingma and Welling 2014"
    Params: ClassVar[type[EncoderParams]] = FeaturesVaeParams
    params: FeaturesVaeParams
    standardiser: Standardiser | None = None

    def fit(
        self,
        inputs: Any,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn from float32 [n, c], n >= 1; resumes from `workdir` after a kill."""
        import torch

        matrix = as_matrix(inputs)
        self.standardiser = Standardiser.fit(matrix)
        table = torch.from_numpy(self.standardiser.apply(matrix))
        marks = digests("features", matrix)
        self._train(
            lambda rows: table[torch.from_numpy(rows)],
            len(matrix),
            marks,
            workdir=workdir,
            progress=progress,
            threads=1,
        )
        return self

    def transform(self, inputs: Any, *, progress: Progress | None = None) -> np.ndarray:
        """float32 [n, c] -> float32 [n, d]."""
        import torch

        if self.standardiser is None:
            raise not_fitted(self.name)
        out = np.zeros((len(inputs), self.dim), np.float32)
        for start in range(0, len(out), BLOCK):
            part = as_matrix(inputs[start : start + BLOCK])
            marks = digests("features", part) if self.params.output == "sample" else None
            out[start : start + BLOCK] = self._embed(torch.from_numpy(self.standardiser.apply(part)), marks)
            if progress is not None:
                progress(min(start + BLOCK, len(out)), len(out), self.name)
        return out

    def reconstruct(self, inputs: Any) -> np.ndarray:
        """Features as the decoder gives them back from the posterior's mean: float32 [n, c] in the inputs' own units."""
        import torch

        if self.standardiser is None:
            raise not_fitted(self.name)
        model, table = self._fitted(), self.standardiser.apply(as_matrix(inputs))
        with torch.inference_mode():
            back = model.decoder(model.encode(torch.from_numpy(table).to(self.device))[0]).cpu().numpy()
        return (back * self.standardiser.scale + self.standardiser.mean).astype(np.float32)

    def _build(self) -> Autoencoder:
        from toolkit.encoders.learning.autoencoder import mlp_autoencoder

        assert self.standardiser is not None
        return mlp_autoencoder(len(self.standardiser.mean), self.params.hidden, self.params.latent)

    def _tensors(self) -> Tensors | None:
        weights = super()._tensors()
        return None if weights is None or self.standardiser is None else weights | self.standardiser.tensors()

    def _adopt(self, tensors: Tensors) -> None:
        self.standardiser = Standardiser(tensors["mean"], tensors["scale"])
        super()._adopt(tensors)
