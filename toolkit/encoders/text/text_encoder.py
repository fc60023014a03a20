"""Base class of the encoders of texts: cleaning, and a preview of what it does."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from toolkit.encoders.contract.encoder import Encoder, EncoderParams, Kind
from toolkit.encoders.text.cleaning import Cleaner, SentenceCleaning


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"token_pattern is not a regular expression: {error}") from None
    return pattern


TokenPattern = Annotated[str, AfterValidator(_compiles)]
"""Regular expression of a word."""


class TextParams(EncoderParams):
    """clean: steps of `toolkit.encoders.text.cleaning` for the texts; default: none."""

    clean: SentenceCleaning = SentenceCleaning()


class TextEncoder(Encoder):
    """An encoder of texts with a `cleaner`, which is fitted and saved with the encoder if its steps learn."""

    kind: ClassVar[Kind] = "text"
    Params: ClassVar[type[EncoderParams]] = TextParams
    params: TextParams

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.cleaner = Cleaner(self.params.clean)

    def preview(self, text: str) -> list[tuple[str, str]]:
        """The name of each step and the text after it, for `segue encoders preview`."""
        return self.cleaner.trace(text)
