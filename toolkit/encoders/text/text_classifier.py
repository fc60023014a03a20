"""`text-classifier`: lyrics, biographies or tags through a text model fine-tuned on their tracks' labels (genre, tags).

The supervised variant that the multimodal BERT4Rec report (USC) names as a next step: the backbone of `sentence-bert`,
the mean over tokens, fine-tuned on labels of the training split; the embedding is the layer before the labels.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.encoder import EncoderParams, Kind, Progress, Texts
from toolkit.encoders.image.pretrained_images import quiet
from toolkit.encoders.learning.classifier_encoder import Batches, Classifier, ClassifierParams
from toolkit.encoders.text.sentence_bert import SentenceBertEncoder, SentenceBertParams
from toolkit.errors import InputError
from toolkit.packages import TRANSFORMERS, Package

if TYPE_CHECKING:
    from torch import nn


class TextClassifierParams(ClassifierParams):
    """model: folder, installed model package, or hub name. max_length: tokens kept of a text."""

    model: str = "all-MiniLM-L6-v2"
    max_length: int = Field(128, ge=2)
    epochs: int = Field(3, ge=1)


class TextClassifierEncoder(Classifier):
    """Encodes texts with a text model fine-tuned to predict labels, such as genre or tags.

    Returns float32 [n, dim], values from -1 to 1.
    """

    name: ClassVar[str] = "text-classifier"
    kind: ClassVar[Kind] = "text"
    source: ClassVar[str] = "Reimers and Gurevych 2019; multimodal BERT4Rec report (USC), future work"
    weights_licence: ClassVar[str] = SentenceBertEncoder.weights_licence
    Params: ClassVar[type[EncoderParams]] = TextClassifierParams
    requires: ClassVar[tuple[Package, ...]] = (TRANSFORMERS,)
    params: TextClassifierParams

    @property
    def pretrained(self) -> bool:
        return True

    @cached_property
    def folder(self) -> Path:
        """Where the model's files are. Raises `InputError` for a model that cannot be found."""
        return model_hub.find(self.params.model)

    def check_files(self) -> None:
        model_hub.find(self.params.model, download=False)

    def fingerprint(self) -> str:
        return model_hub.fingerprint(self.folder)

    def licence(self) -> str:
        return SentenceBertEncoder(SentenceBertParams(model=self.params.model)).licence()

    def _batches(self, inputs: Texts, workdir: Path | None = None, progress: Progress | None = None) -> Batches:
        import torch

        limit = self.params.max_length
        tokens = [
            np.asarray(ids, np.int64)
            for start in range(0, len(inputs), 1024)
            for ids in self._tokenizer(
                list(inputs[start : start + 1024]), padding=False, truncation=True, max_length=limit
            )["input_ids"]
        ]

        def batch(rows: np.ndarray) -> torch.Tensor:
            chosen = [tokens[int(row)] for row in rows]
            out = np.full((len(chosen), max(map(len, chosen))), self._tokenizer.pad_token_id, np.int64)
            for place, ids in enumerate(chosen):
                out[place, : len(ids)] = ids
            return torch.from_numpy(out)

        return batch

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        with quiet():
            try:
                made = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            except (OSError, ValueError, KeyError) as error:
                raise self._refused(error) from None
        if made.pad_token_id is None:
            raise InputError(
                f"model={self.params.model!r} has no padding token: use a model that encodes texts, such as all-MiniLM-L6-v2"
            )
        return made

    def _backbone(self) -> tuple[nn.Module, int]:
        from safetensors import SafetensorError
        from transformers import AutoModel

        from toolkit.encoders.learning.fine_tuning import TunedTexts

        with quiet():
            try:
                network = AutoModel.from_pretrained(self.folder, local_files_only=True, use_safetensors=True)
            except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
                raise self._refused(error) from None
        positions = getattr(network.config, "max_position_embeddings", None)
        if positions is not None and self.params.max_length > positions:
            raise InputError(
                f"max_length={self.params.max_length} must be <= {positions}, the positions that {self.params.model} has"
            )
        return TunedTexts(network, self._tokenizer.pad_token_id), network.config.hidden_size

    def _refused(self, error: Exception) -> InputError:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        return InputError(f"model={self.params.model!r} at {self.folder} does not load as a text model: {reason}")
