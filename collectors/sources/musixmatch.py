"""The musiXmatch dataset: lyrics of 237,662 tracks of the Million Song Dataset as counts of 5,000 stems, from files on disk.

http://millionsongdataset.com/musixmatch describes them: `mxm_dataset_train.txt` and `mxm_dataset_test.txt`, a list of words after `%` and
a line `TID,MXMID,index:count,…` a track (indices from 1), and `mxm_779k_matches.txt`, lines of
`TID<SEP>artist<SEP>title<SEP>MXMID<SEP>artist<SEP>title`. What comes of them is a text of stems, each as often as it is sung, in the
order of the list: for word counts, not for readers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from collectors import dump_archives, file_index
from collectors.matching import Candidate, nearest, normalise
from collectors.source import Absent, Answer, Entity, Found, Http, Request, Source, SourceParams, Terms
from collectors.sources.matched_answer import judged
from toolkit.errors import DataError

TRACK = re.compile(r"(?:^|:)(TR[A-Z]{5}[0-9A-F]{11})$")
SEP = "<SEP>"
VERSION = 1


class MusixmatchParams(SourceParams):
    """paths: the files of words. matches: the file of names, for catalogues whose ids are not the Million Song Dataset's."""

    paths: list[Path] = Field(
        min_length=1, description="mxm_dataset_train.txt, mxm_dataset_test.txt or both, packed or not"
    )
    matches: Path | None = Field(None, description="mxm_779k_matches.txt")


class Musixmatch(Source):
    """Lyrics as word counts, from the files of the musiXmatch dataset.

    Tracks are found by the id `msd:TR…`, or else by artist and title if `matches` is set.
    """

    name = "musixmatch"
    page = "http://millionsongdataset.com/musixmatch"
    fields: ClassVar[Mapping[str, Entity]] = {"lyrics": "track"}
    terms = Terms(
        train_allowed=None,
        licence="research only, strictly non-commercial",
        page="http://millionsongdataset.com/musixmatch",
        attribution="musiXmatch dataset, the official lyrics collection for the Million Song Dataset",
    )
    Params = MusixmatchParams

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        files = [*self.params.paths, *([self.params.matches] if self.params.matches else [])]
        with file_index.opened(folder, files, self._rows(), version=VERSION) as self._index:
            self._words = {
                name: self._index.get(f"words/{name}")[0].decode().split(",")
                for name in map(str, range(len(self.params.paths)))
            }
            yield

    def collect(self, request: Request, http: Http) -> Answer:
        if named := TRACK.search(request.id):
            text = self._text(named[1])
            return Found({"lyrics": text}, payload=text) if text else Absent()
        if not request.title or not request.artists:
            return Absent("no name to look up")
        entries = [entry.decode().split(SEP) for entry in self._index.get(_key(request.artists[0], request.title))]
        there = [(track, artist, title) for track, artist, title in entries if self._index.get(f"track/{track}")]
        found = nearest(request, there, lambda entry: Candidate(entry[2], (entry[1],)))
        if found is None:
            return Absent()
        (track, artist, title), score = found
        text = self._text(track) or ""
        return judged(score, {"lyrics": text}, text, note=f"found {title!r} by {artist!r}")

    def _text(self, track: str) -> str | None:
        for stored in self._index.get(f"track/{track}"):
            file, counts = stored.decode().split(" ", 1)
            words = self._words[file]
            pairs = (pair.split(":") for pair in counts.split(","))
            return " ".join(" ".join([words[int(place) - 1]] * int(count)) for place, count in pairs)
        return None

    def _rows(self) -> Iterator[tuple[str, bytes]]:
        for number, path in enumerate(self.params.paths):
            yield from _counted(path, number)
        if self.params.matches:
            for line in dump_archives.lines(self.params.matches, self.params.matches.name):
                parts = line.decode("utf-8", "replace").rstrip("\r\n").split(SEP)
                if len(parts) == 6 and not parts[0].startswith("#"):
                    yield _key(parts[1], parts[2]), SEP.join(parts[:3]).encode()


def _counted(path: Path, number: int) -> Iterator[tuple[str, bytes]]:
    """The list of words and every track of one file. Raises `DataError` for a file of another form, with its line."""
    size = 0
    for at, raw in enumerate(dump_archives.lines(path, path.name), 1):
        line = raw.decode("utf-8", "replace").strip()
        if line.startswith("%"):
            size = len(line[1:].split(","))
            yield f"words/{number}", line[1:].encode()
        elif line and not line.startswith("#"):
            track, _, counts = line.partition(",")
            counts = counts.partition(",")[2]
            pairs = re.fullmatch(r"\d+:\d+(?:,\d+:\d+)*", counts)
            if not size or not pairs or not all(1 <= int(pair.split(":")[0]) <= size for pair in counts.split(",")):
                raise DataError(
                    f"{path}:{at} is not a line of a musiXmatch file (TID,MXMID,index:count,… after %words): fetch it again"
                )
            yield f"track/{track}", f"{number} {counts}".encode()
    if not size:
        raise DataError(f"{path} has no list of words (a line that begins with %): is it a musiXmatch file?")


def _key(artist: str, title: str) -> str:
    return f"name/{normalise(artist)}/{normalise(title)}"
