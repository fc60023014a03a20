"""Base class for text encoders with cleaning and a preview of the cleaned texts."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator

from toolkit.encoders.contract.encoder import Encoder, EncoderParams, Kind
from toolkit.encoders.text.cleaning import Cleaner, SentenceCleaning


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:  # a{99999999999}, or too many groups
        raise ValueError(
            f"token_pattern={pattern!r} must be a regular expression ({error}): correct the pattern"
        ) from None
    return pattern


TokenPattern = Annotated[str, AfterValidator(_compiles)]
"""Regular expression of a word."""


class TextParams(EncoderParams):
    """Parameters of a text encoder.

    - clean: steps of `toolkit.encoders.text.cleaning`. By default texts are not cleaned.
    """

    clean: SentenceCleaning = SentenceCleaning()


class TextEncoder(Encoder):
    """Base class for text encoders with a `cleaner`, which is fitted and saved with the encoder."""

    kind: ClassVar[Kind] = "text"
    Params: ClassVar[type[EncoderParams]] = TextParams
    params: TextParams

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.cleaner = Cleaner(self.params.clean)

    def preview(self, text: str) -> list[tuple[str, str]]:
        """Return the name of each step and the text after the step, for `segue encoders preview`."""
        return self.cleaner.trace(text)
