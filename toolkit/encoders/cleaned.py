"""What encoders of texts share: their cleaning, and a look at what it does."""

from __future__ import annotations

from typing import ClassVar

from toolkit.encoders.base import Encoder, EncoderParams, Kind
from toolkit.encoders.cleaning import Cleaner, SentenceCleaning


class CleanedParams(EncoderParams):
    """clean: steps of `toolkit.encoders.cleaning` that texts go through first; default: none."""

    clean: SentenceCleaning = SentenceCleaning()


class CleanedTextEncoder(Encoder):
    """An encoder of texts with a `cleaner`, which it fits and saves with the rest where steps learn."""

    kind: ClassVar[Kind] = "text"
    Params: ClassVar[type[EncoderParams]] = CleanedParams
    params: CleanedParams

    def __init__(self, params: EncoderParams | None = None, *, seed: int = 0, device: str = "cpu") -> None:
        super().__init__(params, seed=seed, device=device)
        self.cleaner = Cleaner(self.params.clean)

    def preview(self, text: str) -> list[tuple[str, str]]:
        """Each step's name and the text after it, for `segue encoders preview`."""
        return self.cleaner.trace(text)
