"""The contract of readers, and the handling of bad records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from toolkit.catalogue.readers.open_files import with_playlists
from toolkit.catalogue.records import NamedPlaylist, Record
from toolkit.errors import DataError
from toolkit.packages import Package
from toolkit.parameters import Parameters

if TYPE_CHECKING:
    from toolkit.catalogue.readers.tables.record_blocks import Block

OnError = Literal["stop", "skip"]


class ReaderParams(Parameters):
    """Options of a reader in a recipe (`data.options`); each reader extends it."""


def shortened(value: object) -> str:
    """The repr of a value for a message, at most 80 characters."""
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:79] + "…"


@dataclass
class Tally:
    """Number of records with a fault, and messages about the first ones."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    keep: int = 20

    def add(self, message: str) -> None:
        self.count += 1
        if len(self.examples) < self.keep:
            self.examples.append(message)


class Reader(ABC):
    """Base class of every reader: streams the records of one format, in memory that does not grow with the file.

    A track's record comes before, or any time after, the playlists that hold it. A track without a record is known by
    its id alone.

    - name: the name in recipes.
    - needs_path: whether it reads a file or folder; False for a reader that generates its data.
    - upper_bound: name of the ranker that knows how the data was generated. It takes the reader's options as
      parameters, and tables show it as the best possible result. Empty for real data.
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

    @abstractmethod
    def read(self) -> Iterator[Record]:
        """Yield tracks and playlists. Raises `DataError` under `on_error="stop"`."""

    def brief(self) -> Iterator[Record | NamedPlaylist]:
        """The same playlists, for callers that need only names of tracks. Readers that can skip the rest override it.

        Values that it skips are not checked: a bad record there is only found by `read`.
        """
        return self.read()

    def blocks(self) -> Iterator[Block] | None:
        """The same playlists and names of tracks as columns, for readers of tables; None from other readers.

        A corpus without a catalogue is built from them, in a fraction of the time. They hold the playlists of `read`
        in the same order and without `plays`, and the same bad rows are reported. Other values are skipped.
        """
        return None

    def check_source(self) -> None:
        """Raise `InputError` or `DataError` for a fault that shows at once, such as a missing file or column.

        For `segue validate`: the time must not depend on the size of the file. The default checks nothing.
        """
        return

    def fields_offered(self) -> set[str] | None:
        """Names of the fields that its tracks may have, by its options and the header of the source.

        For `segue validate`, after `check_source`. None, the default, means that only records show them: then the first
        records of `read` are inspected. A reader whose `read` goes through a whole file before its first record
        overrides this.
        """
        return None

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether `path` looks like this format (by name and first bytes), for `reader: auto`."""

    def bad(self, where: str, why: str) -> None:
        """Report a bad record: raise `DataError`, or count it. `where` is file and record."""
        message = f"{where}: {why}"
        if self.on_error == "stop":
            raise DataError(f"{message} ({self.skip_by} skips such records)")
        self.skipped.add(message)


class FileReader(Reader):
    """Base class of readers whose `read` raises `DataError` for a source without any playlist."""

    def read(self) -> Iterator[Record]:
        return with_playlists(self._read(), self.path)

    @abstractmethod
    def _read(self) -> Iterator[Record]:
        """Yield tracks and playlists."""
