"""Sections `data` and `encoders` of a recipe: the data, and the encoded content of each modality."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from toolkit import plugins
from toolkit.errors import InputError
from toolkit.parameters import Parameters, fault


class Permission(Parameters):
    """Permission by the user to train on content if the terms of its source do not allow training."""

    allowed: bool
    reason: str = Field(min_length=3)


class ContentRule(Parameters):
    """Content that a track must have. Without a key, the field must have any value."""

    min_length: int | None = Field(None, ge=1, description="characters of a text")
    min_count: int | None = Field(None, ge=1, description="labels of a text such as tags, separated by commas")
    min_seconds: float | None = Field(None, gt=0, description="length of a sound, or of the field `duration`")

    @model_validator(mode="after")
    def _one_kind(self) -> ContentRule:
        if self.min_seconds is not None and (self.min_length is not None or self.min_count is not None):
            raise ValueError(
                "`min_seconds` requires a sound, and `min_length` and `min_count` a text: remove one of them"
            )
        return self


class Filters(Parameters):
    """Filters of playlists and tracks, in this order: `require`, `most_played_tracks`, `most_active_playlists`, and
    minimum counts, which are applied repeatedly until no record is removed.
    """

    require: dict[str, ContentRule] = Field(
        default={},
        description="content that every track must have, {field: rule}, such as `biography: {min_length: 50}`; other"
        " tracks are left out",
    )
    most_played_tracks: int | None = Field(
        None,
        ge=1,
        description="keep this many tracks, those in the most playlists; of equals, the first in the data",
    )
    most_active_playlists: int | None = Field(
        None,
        ge=1,
        description="keep this many playlists, those with most of the tracks that are kept; of equals, the first",
    )
    min_track_plays: int = Field(
        1, ge=1, description="playlists a track must be in; tracks without any are governed by `unplayed`"
    )
    min_playlist_length: int = Field(2, ge=1)
    repeats: Literal["keep", "drop"] = "drop"
    unplayed: Literal["keep", "drop"] = "keep"


class Data(Parameters):
    """Source of playlists and tracks."""

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
    allow_label_leak: str | None = Field(
        None,
        min_length=3,
        description="reason why a column that labels the playlist may be content of its tracks, although it leaks",
    )


class Targets(Parameters):
    """Targets of a supervised encoder: labels of a field, or factors, for tracks of the training split."""

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
                f"exactly one of field={self.field!r} and factors={self.factors} must be set:"
                " set `field: …` or `factors: …`"
            )
        if self.factors is None and "level" in self.model_fields_set:
            raise ValueError(
                "`level` can be set only with `factors`: remove `level`, or set `factors` instead of `field`"
            )
        if self.factors is not None and (wrong := self.model_fields_set - {"factors", "field", "level"}):
            raise ValueError(
                f"`{sorted(wrong)[0]}` can be set only with `field`: remove this key, or set `field` instead of"
                " `factors`"
            )
        return self


class EncoderSpec(Parameters):
    """Modality: a catalogue field and its encoder."""

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
        """Fill in the encoder's default field. An encoder without a default field requires `field`."""
        if self.field:
            return self
        try:
            self.field = plugins.load("segue.encoders", self.encoder).default_field or ""
        except InputError as error:
            wrong = fault("unknown_encoder", plugins.rule_of(error, self.encoder), ("encoder",), self.encoder)
            raise ValidationError.from_exception_data("EncoderSpec", [wrong]) from None
        if not self.field:
            missing = InitErrorDetails(type="missing", loc=("field",), input=self.encoder)
            raise ValidationError.from_exception_data("EncoderSpec", [missing])
        return self
