"""The sections `data` and `encoders` of a recipe: the data that is read, and the content that becomes a modality."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from toolkit import plugins
from toolkit.errors import InputError
from toolkit.parameters import Parameters, fault


class Permission(Parameters):
    """The user's statement that content may be trained on whose source forbids training or says nothing about it."""

    allowed: bool
    reason: str = Field(min_length=3)


class Filters(Parameters):
    """The part of the data that enters the corpus. Minimum counts are applied until nothing changes."""

    min_track_plays: int = Field(
        1, ge=1, description="playlists a track must be in; tracks without any are governed by `unplayed`"
    )
    min_playlist_length: int = Field(2, ge=1)
    repeats: Literal["keep", "drop"] = "drop"
    unplayed: Literal["keep", "drop"] = "keep"


class Data(Parameters):
    """Where playlists and tracks come from."""

    reader: str = "auto"
    path: Path | None = None
    options: dict[str, object] = {}
    on_error: Literal["stop", "skip"] = "stop"
    filters: Filters = Filters()
    level: Literal["track", "artist"] = Field(
        "track",
        description="artist: everything on artists, after the filters: playlists hold artists, with the plays of"
        " their tracks summed",
    )
    permission: Permission | None = None


class Targets(Parameters):
    """Targets of a supervised encoder, of tracks of the training split: labels of a field, or factors."""

    field: str | None = Field(None, description="texts of the catalogue, such as genre or tags")
    factors: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="number of factors of the training split to predict instead of labels; other settings as in"
        " `coldstart.factors`",
    )
    level: Literal["track", "artist"] = Field(
        "track", description="of factors: the track's own, or its artist's, from the sum over their tracks"
    )
    source: str | None = None
    separator: str | None = Field(
        ",", min_length=1, description="what a list of labels is split on; null: a text is one label"
    )
    min_tracks: int = Field(2, ge=1, description="training tracks that a label must have")
    most: int = Field(200, ge=1, description="labels that are kept, the most frequent")

    @model_validator(mode="after")
    def _one(self) -> Targets:
        if (self.field is None) == (self.factors is None):
            raise ValueError(
                "targets are labels of a field or factors: give `field: …` or `factors: …`, one of the two"
            )
        if self.factors is None and "level" in self.model_fields_set:
            raise ValueError("`level` is for factors: take it out, or give `factors: …` instead of `field`")
        if self.factors is not None and (wrong := self.model_fields_set - {"factors", "field", "level"}):
            raise ValueError(
                f"`{sorted(wrong)[0]}` is for labels of a field: take it out, or give `field: …` instead of `factors`"
            )
        return self


class EncoderSpec(Parameters):
    """One modality: which field of the catalogue goes through which encoder."""

    encoder: str
    field: str = Field(
        "",
        description="of the catalogue, or a template such as `{title} by {artist}`; default: the encoder's, where it"
        " has one",
    )
    source: str | None = Field(None, description="only values of this source; needed where vectors come from several")
    targets: Targets | None = Field(None, description="what a supervised encoder learns to predict")
    params: dict[str, object] = {}

    @model_validator(mode="after")
    def _field(self) -> EncoderSpec:
        """Fill in the encoder's default field. Without one, `field` is required."""
        if not self.field:
            self.field = self._default_field() or ""
        if not self.field:
            missing = InitErrorDetails(type="missing", loc=("field",), input=self.encoder)
            raise ValidationError.from_exception_data("EncoderSpec", [missing])
        return self

    def _default_field(self) -> str | None:
        try:
            cls = plugins.load("segue.encoders", self.encoder)
        except InputError as error:
            rule = plugins.rule_of(error, self.encoder)
            wrong = fault("unknown_encoder", rule, ("encoder",), self.encoder)
            raise ValidationError.from_exception_data("EncoderSpec", [wrong]) from None
        field: str | None = cls.default_field
        return field
