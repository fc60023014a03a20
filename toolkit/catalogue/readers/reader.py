"""The reader contract and what every reader does with a bad record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from toolkit.catalogue.records import NamedPlaylist, Record
from toolkit.errors import DataError
from toolkit.packages import Package
from toolkit.parameters import Parameters

if TYPE_CHECKING:
    from toolkit.catalogue.readers.tables.record_blocks import Block

OnError = Literal["stop", "skip"]


class ReaderParams(Parameters):
    """Options of a reader in a recipe (`data.options`); each reader extends it."""


def shortened(value: Any) -> str:
    """A value as a message repeats it: no more than a line holds."""
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:79] + "…"


@dataclass
class Tally:
    """Records that something befell: how many, and what is said of the first of them."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    keep: int = 20

    def add(self, message: str) -> None:
        self.count += 1
        if len(self.examples) < self.keep:
            self.examples.append(message)


class Reader(ABC):
    """Streams the records of one format; memory does not grow with the file.

    A track's record comes before, or any time after, the playlists that hold
    it; a track that never gets a record is known by its id alone.
    name: in recipes. needs_path: whether it reads a file or folder; a reader that makes its data itself has none.
    upper_bound: the ranker that knows how the reader's data was made, by name: it takes the reader's options as parameters, and tables
    show it as the best that is possible. Empty where the data is real.
    requires: packages beyond the toolkit's own that it needs; `segue validate` reports those that are missing.
    `segue.plugin.check_reader` is this contract as a test.
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
        """What whoever asked for the reader writes to have bad records left out."""
        self.skipped = Tally()
        """Bad records left out under `on_error: skip`."""
        self.doubles = Tally()
        """What stands there more than once and is taken once; nothing is wrong with it."""

    @abstractmethod
    def read(self) -> Iterator[Record]:
        """Yield tracks and playlists. Raises `DataError` under `on_error="stop"`."""

    def brief(self) -> Iterator[Record | NamedPlaylist]:
        """The same playlists, for who needs nothing of a track but its names; a reader that can skip the rest overrides this.

        What it does not look at it does not check: a bad record there is found by `read` alone.
        """
        return self.read()

    def blocks(self) -> Iterator[Block] | None:
        """The same playlists and names of tracks as columns, for readers of tables; None from a reader of records alone.

        A corpus without a catalogue is built from them, in a fraction of the time. They are the same playlists in the same order as
        `read` gives, and the same bad rows are reported; what is only of the catalogue is not looked at. No `plays`.
        """
        return None

    def check_source(self) -> None:
        """Raise `InputError` or `DataError` for what the beginning of the source shows: a file that is missing, a column that is not there.

        For `segue validate`: it takes no longer for a large file than for a small one. The default checks nothing.
        """
        return

    def fields_offered(self) -> set[str] | None:
        """Names of the fields that its tracks may have, by its options and the header of the source; None where only the records show.

        For `segue validate`, after `check_source`. Under None, the default, the first records of `read` are looked at. A reader whose
        `read` goes through a whole file before its first record overrides it.
        """
        return None

    @classmethod
    @abstractmethod
    def recognises(cls, path: Path) -> bool:
        """Whether `path` looks like this format (by name and first bytes), for `reader: auto`."""

    def bad(self, where: str, why: str) -> None:
        """Report a bad record: raise, or count and go on. `where` is file and record."""
        message = f"{where}: {why}"
        if self.on_error == "stop":
            raise DataError(f"{message} ({self.skip_by} leaves such records out)")
        self.skipped.add(message)
