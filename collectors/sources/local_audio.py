"""Audio features and audio clips from audio files in a folder.

The source `librosa` computes the eleven numbers of `toolkit.encoders.audio.audio_features`, and `local-previews`
returns the files. A file matches a track by an id in the name or the tags, or by title, artist and duration.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from collectors import matching
from collectors.local_files import FolderSource, LocalFile, audio_files
from collectors.source import (
    Absent,
    Ambiguous,
    Answer,
    Found,
    SourceParams,
    Terms,
    Trouble,
)
from toolkit.catalogue.records import FieldValue
from toolkit.encoders.audio.audio_features import SOURCE, measure
from toolkit.encoders.audio.waveforms import waveforms
from toolkit.encoders.contract.input_faults import BadInput

RATE, SECONDS = 22050, 30.0
MAX_BYTES = 512 << 20
"""A longer file is not stored: an hour of CD sound as WAV has more bytes, a track does not."""


class AudioFolder(FolderSource):
    """Base class of sources that read audio files in a folder.

    - most_bytes: maximum size of a file, or None without a limit.
    """

    together = True
    most_bytes: ClassVar[int | None] = None

    class Params(SourceParams):
        """Parameters, with the folder and whether to read `tags`, which takes about a millisecond per file."""

        folder: Path
        tags: bool = True

    def local_files(self) -> Iterator[LocalFile]:
        return audio_files(self.params.folder, tags=self.params.tags)

    def answer(self, file: LocalFile, score: float) -> Answer:
        if matching.verdict(score) == "ambiguous":
            return Ambiguous(score, note=f"{file.name}: {file.artist} - {file.title}")
        if self.most_bytes is not None and file.path.stat().st_size > self.most_bytes:
            return Absent(f"{file.name} has more than {self.most_bytes >> 20} MB")
        return Found(self.values(file), score, file.name)

    @abstractmethod
    def values(self, file: LocalFile) -> Mapping[str, FieldValue]:
        """Return the fields of a file. Raises `Trouble` if the file is not audio, `OSError` if it is missing."""


class LocalFeatures(AudioFolder):
    """Audio features computed by librosa from audio files in a folder.

    `audio_features` is float [11], in the order of `toolkit.constants.AUDIO_FEATURES`, computed from the middle 30 s.
    """

    name = SOURCE
    page = "https://librosa.org/doc"
    fields = {"audio_features": "track"}
    terms = Terms(True, "measured here, from files of your own", "https://librosa.org/doc", attribution="librosa")

    def values(self, file: LocalFile) -> Mapping[str, FieldValue]:
        (samples,) = waveforms([file.path], rate=RATE, seconds=SECONDS, workers=1)
        if isinstance(samples, BadInput):
            raise Trouble(f"{file.name} {samples.why}")
        return {"audio_features": measure(samples, RATE).tolist()}


class LocalPreviews(AudioFolder):
    """Audio clips from files in a folder.

    `audio` is the unchanged file. You must obtain permission for training from the owner.
    """

    name = "local-previews"
    most_bytes = MAX_BYTES
    fields = {"audio": "track"}
    terms = Terms(None, "that of your files", "docs/sources.md")

    def values(self, file: LocalFile) -> Mapping[str, FieldValue]:
        return {"audio": file.path}
