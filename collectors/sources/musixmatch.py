"""Lyrics of 237,662 Million Song Dataset tracks as counts of 5,000 stems, from the musiXmatch dataset.

http://millionsongdataset.com/musixmatch describes the files. `mxm_dataset_train.txt` and `mxm_dataset_test.txt` have a
list of words after `%` and a line `TID,MXMID,index:count,…` for each track (indices from 1). `mxm_779k_matches.txt` has
lines `TID<SEP>artist<SEP>title<SEP>MXMID<SEP>artist<SEP>title`. The field is a text of stems in list order,
repeated by count, which is suitable only for bag-of-words encoders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field

from collectors import dump_archives, file_index, matching
from collectors.source import Absent, Answer, Found, Http, Request, SourceParams, Terms
from collectors.sources.matched_answer import answer_by_score
from toolkit.errors import DataError

TRACK = re.compile(r"(?:^|:)(TR[A-Z]{5}[0-9A-F]{11})$")
SEP = "<SEP>"


class Musixmatch(file_index.IndexedSource):
    """Lyrics as word counts from musiXmatch dataset files.

    Tracks are found by the id `msd:TR…`, or by artist and title if `matches` is set.
    """

    name = "musixmatch"
    page = "http://millionsongdataset.com/musixmatch"
    fields = {"lyrics": "track"}
    terms = Terms(
        train_allowed=None,
        licence="research only, strictly non-commercial",
        page="http://millionsongdataset.com/musixmatch",
        attribution="musiXmatch dataset, the official lyrics collection for the Million Song Dataset",
    )

    class Params(SourceParams):
        """Parameters of the musiXmatch dataset.

        - paths: files with word counts.
        - matches: file with names, for catalogues without Million Song Dataset ids.
        """

        paths: list[Path] = Field(
            min_length=1, description="mxm_dataset_train.txt, mxm_dataset_test.txt or both, compressed or not"
        )
        matches: Path | None = Field(None, description="mxm_779k_matches.txt")

    @contextmanager
    def opened(self, folder: Path) -> Iterator[None]:
        with super().opened(folder):
            names = map(str, range(len(self.params.paths)))
            self._words = {name: self.index.get(f"words/{name}")[0].decode().split(",") for name in names}
            yield

    def files(self) -> list[Path]:
        return [*self.params.paths, *([self.params.matches] if self.params.matches else [])]

    def collect(self, request: Request, http: Http) -> Answer:
        if id_match := TRACK.search(request.id):
            text = self._text(id_match[1])
            return Found({"lyrics": text}, payload=text) if text else Absent()
        if not request.title or not request.artists:
            return Absent("no name to look up")
        rows = [row.decode().split(SEP) for row in self.index.get(_key(request.artists[0], request.title))]
        with_words = [(track, artist, title) for track, artist, title in rows if self.index.get(f"track/{track}")]
        match = matching.nearest(request, with_words, lambda row: matching.Candidate(row[2], (row[1],)))
        if match is None:
            return Absent()
        (track, artist, title), score = match
        text = self._text(track) or ""
        return answer_by_score(score, {"lyrics": text}, text, note=f"found {title!r} by {artist!r}")

    def _text(self, track: str) -> str | None:
        """Return the stems of a track, repeated by count, or None for an unknown track."""
        for value in self.index.get(f"track/{track}"):
            file, counts = value.decode().split(" ", 1)
            words = self._words[file]
            pairs = (pair.split(":") for pair in counts.split(","))
            return " ".join(" ".join([words[int(index) - 1]] * int(count)) for index, count in pairs)
        return None

    def rows(self) -> Iterator[tuple[str, bytes]]:
        for number, path in enumerate(self.params.paths):
            yield from _word_counts(path, number)
        for _, line in dump_archives.text_lines(self.params.matches):
            parts = line.split(SEP)
            if len(parts) == 6 and not parts[0].startswith("#"):
                yield _key(parts[1], parts[2]), SEP.join(parts[:3]).encode()


def _word_counts(path: Path, number: int) -> Iterator[tuple[str, bytes]]:
    """Yield the word list and all tracks of a file. Raises `DataError` with the line for malformed files."""
    size = 0
    for at, text in dump_archives.text_lines(path):
        line = text.strip()
        if line.startswith("%"):
            size = len(line[1:].split(","))
            yield f"words/{number}", line[1:].encode()
        elif not line.startswith("#"):
            track, _, counts = line.partition(",")
            counts = counts.partition(",")[2]
            pairs = re.fullmatch(r"\d+:\d+(?:,\d+:\d+)*", counts)
            if not size or not pairs or not all(1 <= int(pair.split(":")[0]) <= size for pair in counts.split(",")):
                raise DataError(
                    f"{path}:{at} is {line[:60]!r} and must be `TID,MXMID,index:count,…` after %words: "
                    "download the file again"
                )
            yield f"track/{track}", f"{number} {counts}".encode()
    if not size:
        raise DataError(f"{path} must have a list of words (a line that starts with %): set `paths` to musiXmatch data")


def _key(artist: str, title: str) -> str:
    return f"name/{matching.normalise(artist)}/{matching.normalise(title)}"
