"""Reader `mixtape`: tracks and playlists in one text file, a record a line, columns parted by tabs.

track   t1   The Owls   Rain on Tin   slow piano rain   84
list    Late night      t1 t5 t2
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from segue.plugin import (
    PlaylistRecord,
    Reader,
    ReaderParams,
    Record,
    TrackField,
    TrackRecord,
    has_ending,
    lines,
    qualified,
    some,
)


class MixtapeParams(ReaderParams):
    """Options of the reader `mixtape`."""

    train_allowed: bool | None = Field(None, description="whether the words and tempos may be trained on")


class MixtapeReader(Reader):
    """A text file with one track or one playlist a line, columns parted by tabs."""

    name = "mixtape"
    Params = MixtapeParams
    params: MixtapeParams

    def read(self) -> Iterator[Record]:
        return some(self._records(), self.path)  # `some` raises `DataError` for a file without a playlist

    def _records(self) -> Iterator[Record]:
        for number, line in enumerate(lines(self.path, self.bad), start=1):
            where = f"{self.path}, line {number}"
            match line.rstrip("\r\n").split("\t"):
                case ["track", id, artist, title, words, tempo] if id:
                    yield self._track(id, artist, title, words, tempo, where)
                case ["list", title, tracks] if tracks.split():
                    yield PlaylistRecord(
                        f"line-{number}", [qualified(each, "local") for each in tracks.split()], title=title or None
                    )
                case columns if any(columns):
                    self.bad(where, "is neither a track of six columns nor a list of three")

    def _track(self, id: str, artist: str, title: str, words: str, tempo: str, where: str) -> TrackRecord:
        values: dict[str, str | list[float]] = {"words": words} if words else {}
        if tempo.isdecimal():
            values["tempo"] = [float(tempo)]
        elif tempo:
            self.bad(where, f"the tempo {tempo!r} must be a whole number, or empty")
        fields = {
            name: TrackField(value, source=self.name, train_allowed=self.params.train_allowed)
            for name, value in values.items()
        }
        return TrackRecord(qualified(id, "local"), title or None, (artist,) if artist else (), fields=fields)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return has_ending(path, ".mixtape")
