"""`text-classifier`: text model fine-tuned to predict track labels, such as genre or tags.

Source: multimodal BERT4Rec report (USC), which names supervised encoders as future work. The backbone is the model of
`sentence-bert` with the mean over the tokens, fine-tuned on labels of the training split. The vector is the layer
before the labels.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.encoder import EncoderParams, Kind, Progress, Texts
from toolkit.encoders.learning.base_classifier import ClassifierEncoder, ClassifierParams, LoadInputs
from toolkit.encoders.text.sentence_bert import SentenceBertEncoder, SentenceBertParams, check_length, token_ids
from toolkit.encoders.text.text_network import padded
from toolkit.errors import InputError
from toolkit.packages import TEXT_TRANSFORMERS, Package

if TYPE_CHECKING:
    from torch import nn


class TextClassifierParams(ClassifierParams):
    """Parameters of `text-classifier`.

    - model: folder, installed model package, or hub name.
    - max_length: maximum number of tokens per text.
    """

    model: str = "all-MiniLM-L6-v2"
    max_length: int = Field(128, ge=2)
    epochs: int = Field(3, ge=1)


class TextClassifierEncoder(ClassifierEncoder[str]):
    """Text encoder with a text model fine-tuned to predict labels, such as genre or tags.

    Takes n texts and returns float32 [n, dim] with values from -1 to 1.
    """

    name: ClassVar[str] = "text-classifier"
    kind: ClassVar[Kind] = "text"
    source: ClassVar[str] = "Reimers and Gurevych 2019; multimodal BERT4Rec report (USC), future work"
    weights_licence: ClassVar[str] = SentenceBertEncoder.weights_licence
    Params: ClassVar[type[EncoderParams]] = TextClassifierParams
    requires: ClassVar[tuple[Package, ...]] = (TEXT_TRANSFORMERS,)
    params: TextClassifierParams

    def licence(self) -> str:
        return SentenceBertEncoder(SentenceBertParams(model=self.params.model)).licence()

    def _prepare(self, inputs: Texts, workdir: Path | None = None, progress: Progress | None = None) -> LoadInputs:
        tokens = list(token_ids(self._tokenizer, inputs, self.params.max_length))
        return lambda rows: padded([tokens[int(row)] for row in rows], self._tokenizer.pad_token_id)

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        with model_hub.loading(self.params.model, self.folder, "a text model"):
            tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        if tokenizer.pad_token_id is None:
            raise InputError(
                f"model={self.params.model!r} must have a padding token: set model to a text encoder, such as "
                "all-MiniLM-L6-v2"
            )
        return tokenizer

    def _backbone(self) -> tuple[nn.Module, int]:
        from transformers import AutoModel

        from toolkit.encoders.learning.fine_tuning import FineTunedTexts

        with model_hub.loading(self.params.model, self.folder, "a text model"):
            network = AutoModel.from_pretrained(self.folder, local_files_only=True, use_safetensors=True)
        check_length(self.params.model, self.params.max_length, network.config)
        return FineTunedTexts(network, self._tokenizer.pad_token_id), network.config.hidden_size
