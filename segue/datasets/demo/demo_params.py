"""Parameters of the demo catalogue: size, seed and rates."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from toolkit.catalogue.readers.reader import ReaderParams

Part = Literal["audio_features", "lyrics", "biography", "cover", "signal_free", "audio", "tags"]
"""Fields of a track; leaving one out changes nothing else. Not in the default: `signal_free`, random numbers; `audio`,
16 s of sound (0.3 MB a track); and `tags` of its artist."""


class DemoParams(ReaderParams):
    """Options of `reader: demo`, set as `data.options` in a recipe."""

    tracks: int = Field(2000, ge=200)
    artists: int = Field(300, ge=12)
    playlists: int = Field(3000, ge=10)
    seed: int = Field(0, ge=0)
    tastes: int = Field(12, ge=2, le=12, description="clusters of listeners; there are words for 12")
    new_releases: float = Field(0.15, ge=0, le=0.5, description="share of tracks that are only in held-out playlists")
    off_taste: float = Field(0.05, ge=0, lt=1, description="share of draws by popularity alone")
    fields: list[Part] = Field(
        ["audio_features", "lyrics", "biography", "cover"], description="fields of a track to generate"
    )

    @model_validator(mode="after")
    def _consistent(self) -> DemoParams:
        if self.artists > self.tracks:
            raise ValueError(
                f"artists={self.artists} must be <= tracks={self.tracks}: reduce artists (every artist has a track)"
            )
        return self
