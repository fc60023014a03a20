"""Reader contract and handling of bad records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from toolkit.catalogue.named_files import NamedFiles
from toolkit.catalogue.readers.open_files import storable, with_playlists
from toolkit.catalogue.records import NamedPlaylist, Record
from toolkit.errors import DataError
from toolkit.packages import Package
from toolkit.parameters import Parameters

if TYPE_CHECKING:
    from toolkit.catalogue.readers.tables.label_counts import LabelCounts
    from toolkit.catalogue.readers.tables.record_blocks import Block

OnError = Literal["stop", "skip"]


class ReaderParams(Parameters):
    """Options of a reader in a recipe (`data.options`), extended by each reader."""


def shortened(value: object) -> str:
    """Return the repr of a value for a message, with at most 80 characters."""
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:79] + "…"


@dataclass
class Tally:
    """Number of faulty records and messages about the first records."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    keep: int = 20

    def add(self, message: str) -> None:
        self.count += 1
        if len(self.examples) < self.keep:
            self.examples.append(message)


class Reader(ABC):
    """Base class of readers, which stream the records of a format.

    A reader holds one record at a time, and at most about 1 kB for each playlist and each track that it must remember,
    such as the names of playlists whose rows may be anywhere. It never holds all placements.

    The record of a track can be before or after the playlists that contain it. A track without a record has only an
    id.

    - name: name in recipes.
    - needs_path: whether the reader reads a file or folder; False if it generates data.
    - upper_bound: name of the ranker that knows how the data was generated. It has the options of the
      reader as parameters, and tables show it as the best possible result. Empty for real data.
    - requires: additional packages; `segue validate` reports missing ones.

    `segue.plugin.check_reader` tests a reader against this contract.
    """

    name: ClassVar[str]
    Params: ClassVar[type[ReaderParams]] = ReaderParams
    needs_path: ClassVar[bool] = True
    upper_bound: ClassVar[str] = ""
    requires: ClassVar[tuple[Package, ...]] = ()
    counts: bool = False
    """Whether its playlists carry `plays`."""

    def __init__(self, path: Path, params: ReaderParams | None = None, *, on_error: OnError = "stop") -> None:
        self.path = Path(path)
        self.params = params if params is not None else self.Params()
        self.on_error = on_error
        self.skip_by = "on_error: skip"
        """How the user asks for bad records to be left out, for messages."""
        self.skipped = Tally()
        """Bad records left out under `on_error: skip`."""
        self.doubles = Tally()
        """Records that repeat an earlier one and were read once; they are not bad."""
        self.labels: tuple[LabelCounts, ...] = ()
        """After `read`, counts of the columns of placements that became content of tracks."""
        self.files = NamedFiles()
        """Files besides `path` and those in options that records name. A reader that opens such a file calls
        `files.read(path)`. A file that it only checks is listed by `files.exists(path)`. A `Path` as the value of a
        field is listed when the file is stored. A changed file is read again."""

    @abstractmethod
    def read(self) -> Iterator[Record]:
        """Yield tracks and playlists. Raises `DataError` for a bad record if `on_error="stop"`."""

    def brief(self) -> Iterator[Record | NamedPlaylist]:
        """Yield the same playlists with only track names, which some readers can do faster.

        Other values need not be checked, but a bad value must not decide whether a playlist or track is left out:
        `brief`, `blocks` and `read` yield the same playlists from bad data too.
        """
        return self.read()

    def blocks(self) -> Iterator[Block] | None:
        """Return the same playlists and track names as column blocks, or None if the reader does not support columns.

        A corpus without a catalogue is built faster from blocks. They contain the playlists of `read`
        in the same order without `plays`, and the same bad rows are reported. Other values are skipped.
        """
        return None

    def check_source(self) -> None:
        """Raise `InputError` or `DataError` for faults that are found quickly, such as a missing file or column.

        The time must not depend on the file size, because `segue validate` calls this method. The default does nothing.
        """
        return

    def fields_offered(self) -> set[str] | None:
        """Return the names of fields that tracks may have, from the options and the header of the source.

        `segue validate` calls this method after `check_source`. None, the default, means that the fields are unknown,
        and the first records of `read` are inspected. Readers that read the whole file before the first record should
        override this method.
        """
        return None

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether `path` has this format, by name and first bytes, for `reader: auto`."""

    @classmethod
    def beside(cls, path: Path) -> tuple[Path, ...]:
        """Return the files outside of `path` that the reader reads, if they exist, though no option names them.

        They are part of the data: a change of one of them is a change of the data.
        """
        return ()

    def varied(self, playlist: str) -> None:
        """Count a playlist whose rows have several values of a playlist field."""
        self.doubles.add(f"{self.path}, playlist {playlist!r}: its fields differ between rows, the first row is used")

    def bad(self, where: str, why: str) -> None:
        """Raise `DataError` for a bad record or count the record; `where` is file and record."""
        message = storable(f"{where}: {why}")
        if self.on_error == "stop":
            raise DataError(f"{message} ({self.skip_by} skips such records)")
        self.skipped.add(message)


class FileReader(Reader):
    """Base class of readers for files, which raise `DataError` if there is no playlist."""

    def read(self) -> Iterator[Record]:
        return with_playlists(self._read(), self.path)

    @abstractmethod
    def _read(self) -> Iterator[Record]:
        """Yield tracks and playlists."""
