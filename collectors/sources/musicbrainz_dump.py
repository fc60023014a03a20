"""MusicBrainz ids of recordings from a JSON dump, which finds 70,000 tracks in seconds once indexed.

Page: https://musicbrainz.org/doc/Development/JSON_Data_Dumps (`recording.tar.xz`, one document per line). Licence
of the data used: CC0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from collectors import dump_archives, file_index, matching
from collectors.source import Answer, Http, Request, SourceParams, Terms
from collectors.sources.clients.musicbrainz_recordings import MBID, Recording, best_answer, valid_isrc

MEMBER = "mbdump/recording"
_RECORDING = msgspec.json.Decoder(Recording)
_ENCODER = msgspec.json.Encoder()


class MusicBrainzDump(file_index.IndexedSource):
    """MusicBrainz ids of recordings and artists, from a JSON dump on disk.

    `mbid` is the id of the recording or artist. A recording is found by id, by ISRC, or by title and artist,
    which must agree except for case and accents.
    """

    name = "musicbrainz-dump"
    page = "https://musicbrainz.org/doc/Development/JSON_Data_Dumps"
    fields = {"mbid": "track"}
    terms = Terms(True, "CC0-1.0", "https://musicbrainz.org/doc/About/Data_License", attribution="MusicBrainz")
    uses = ("isrc",)

    class Params(SourceParams):
        """Parameters, with the path of `recording.tar.xz` or of its content, which is indexed on first use."""

        path: Path

    def files(self) -> list[Path]:
        return [self.params.path]

    def rows(self) -> Iterator[tuple[str, bytes]]:
        """Yield each recording by id, and ids by ISRC and name. Lines without a recording are skipped."""
        for line in dump_archives.lines(self.params.path, MEMBER):
            try:
                recording = _RECORDING.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                continue
            recording.tags = recording.genres = []
            yield f"mbid:{recording.id}", _ENCODER.encode(recording)
            names = {_name(recording.title, name) for name in recording.names}
            for key in (*(f"isrc:{isrc}" for isrc in recording.isrcs), *sorted(names)):
                yield key, recording.id.encode()

    def collect(self, request: Request, http: Http) -> Answer:
        mbid, isrc = request.ids.get("mbid", ""), valid_isrc(request)
        for key in (f"mbid:{mbid}" if MBID.fullmatch(mbid) else None, f"isrc:{isrc}" if isrc else None):
            if key and (recordings := self._recordings(key)):
                return best_answer(request, recordings, _ENCODER.encode(recordings), by_id=True)
        recordings = self._recordings(_name(request.title or "", request.artists[0]) if request.artists else "")
        return best_answer(request, recordings, _ENCODER.encode(recordings))

    def _recordings(self, key: str) -> list[Recording]:
        """Return the recordings for a key; a key `mbid:…` has a recording and any other key has ids."""
        values = self.index.get(key)
        if not key.startswith("mbid:"):
            values = [value for mbid in values for value in self.index.get(f"mbid:{mbid.decode()}")]
        return [_RECORDING.decode(value) for value in values]


def _name(title: str, artist: str) -> str:
    return f"name:{matching.normalise(title)}\n{matching.normalise(artist)}"
