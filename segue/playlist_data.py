"""Playlists, the catalogue of their tracks, and splits."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from segue.arguments import check_cache
from segue.split import UNSAID, HeldOutPlaylists, Split, Training, placements_of
from toolkit.errors import DataError, InputError, LeakError
from toolkit.files import cache_folder
from toolkit.ingest.read_data import Content, Ingested, ingest, ingest_from
from toolkit.ingest.training_permission import permitted
from toolkit.progress import Reporter, interactive
from toolkit.recipe import Data, Evaluation, FactorSpec, Filters, Permission
from toolkit.validation import validated

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from toolkit.contracts.protocol import Protocol
    from toolkit.corpus.arrays import Corpus


class Playlists:
    """Playlists and the catalogue of their tracks, created with `read_playlists` or `from_dataframe`.

    - read: function that reads the data, with or without a catalogue of the tracks' content.
    - permission: the user's permission to train on content.
    - strict: whether content of unknown terms requires permission, as in a recipe. If False, segue only warns.
    - factors: settings of the matrix factorisation that several rankers share.
    """

    def __init__(
        self,
        read: Callable[[bool], Ingested],
        *,
        permission: Permission | None = None,
        strict: bool = False,
        cache: Path | None = None,
        reporter: Reporter | None = None,
        factors: FactorSpec | None = None,
    ) -> None:
        self._read, self.permission, self.strict = read, permission, strict
        self.cache, self.reporter, self.factors = (
            cache or cache_folder(),
            reporter or Reporter(),
            factors or FactorSpec(),
        )
        self._ingested: Ingested | None = None
        self._warned: set[str] = set()

    def __len__(self) -> int:
        """Return the number of playlists."""
        return len(self.corpus)

    def __repr__(self) -> str:
        size = f"{len(self):,} playlists of {self.corpus.n_items:,} tracks, {len(self.corpus.items):,} placements"
        return f"<segue.Playlists: {size}>"

    @property
    def ingested(self) -> Ingested:
        """The arrays, and the catalogue if it has been read."""
        if self._ingested is None:
            check_cache(self.cache)
            self._ingested = self._read(False)
            if doubles := self._ingested.doubles:
                warnings.warn(
                    f"{doubles:,} tracks or playlists have several records, of which only the first is used",
                    stacklevel=3,
                )
            self._warn_of_labels()
        return self._ingested

    @property
    def described(self) -> Ingested:
        """The arrays and the catalogue of the tracks' content, which is read on first use."""
        if self.ingested.catalogue is None:
            found, corpus = self._read(True), self.ingested.corpus
            if not found.corpus.same_playlists(corpus):
                raise DataError(
                    f"{found.content['path'] or 'the data'} was read as {len(corpus):,} playlists without content and"
                    f" as {len(found.corpus):,} with it: read the data again if the file changed, or test reader"
                    f" {found.content['reader']!r} with segue.plugin.check_reader"
                )
            self._ingested = replace(found, corpus=corpus)
            self._warn_of_labels()
        return self.ingested

    def _warn_of_labels(self) -> None:
        assert self._ingested is not None
        for line in () if self.strict else self._ingested.label_notes:
            warnings.warn(line, stacklevel=4)

    @property
    def corpus(self) -> Corpus:
        return self.ingested.corpus

    @property
    def hash(self) -> str:
        """Hash of the playlists and their tracks, independent of the file format."""
        return self.corpus.digest()

    def tracks(self) -> pd.DataFrame:
        """Return one row per track with the columns id, title, artist and album."""
        import pandas as pd

        return pd.DataFrame(self.corpus.tracks.to_pydict())

    def field(self, name: str, source: str | None = None) -> pd.Series:
        """Return the values of a catalogue field, such as `lyrics`, by track id. Tracks without a value are omitted."""
        import pandas as pd

        present, values = self.values(name, source)
        return pd.Series(
            list(values),
            index=pd.Index(self.corpus.tracks["id"].to_numpy()[present], name="id"),
            name=name,
            dtype=object,
        )

    def values(self, name: str, source: str | None = None) -> tuple[np.ndarray, Sequence[object]]:
        """Return a field as encoder input: which tracks have a value, bool [V], and the values in order."""
        ids = self.corpus.tracks["id"].to_pylist()
        with self.described.open() as catalogue:
            return catalogue.field_values(name, ids, source=source)

    def placements(self) -> pd.DataFrame:
        """Return one row per playlist entry with the columns playlist, position (from 0) and track."""
        from toolkit.corpus.splits import PlaylistSet

        starts, ends = self.corpus.offsets[:-1], self.corpus.offsets[1:]
        return placements_of(self.corpus, PlaylistSet(self.corpus, _rows(len(self)), starts, ends))

    def split(self, protocol: str | Protocol = "playlist_disjoint", **keys: object) -> Split:
        """Split into training, validation and test playlists.

        - protocol: a name listed by `segue list protocols`, such as `playlist_disjoint` or `leave_last_out`,
          `module:Class`, or a protocol object.
        - keys: the protocol's keys as in a recipe, such as `folds=5, test_fold=0, shown=0.7, min_tracks=10`.

        Raises `InputError` for an unknown key or value and for an empty part. Raises `LeakError` if the training set
        contains hidden tracks.

        Example:
            >>> import segue
            >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200)
            >>> data.split("leave_last_out")
            <segue.Split: 200 training, 200 validation and 200 test playlists>
        """
        if not isinstance(protocol, str) and keys:
            raise InputError(
                f"{', '.join(keys)} cannot be set next to a protocol object: pass them to {type(protocol).__name__}(…)"
            )
        return self.split_by(
            validated(Evaluation, {"split": {"type": protocol, **keys} if isinstance(protocol, str) else protocol}, "")
        )

    def split_by(self, evaluation: Evaluation) -> Split:
        """Split into training, validation and test playlists as in the section `evaluation` of a recipe.

        Prints notes if playlists are few, and if the recording of hidden tracks is in training under another id. Only
        names are compared.
        """
        from toolkit.evaluation import leaks, shared_recordings
        from toolkit.evaluation.split_size import few_playlists
        from toolkit.ingest.read_data import texts

        field = evaluation.split.reads_field
        strict = evaluation.split.stops_at_overlap
        parts = leaks.parts_of(evaluation.split, self.corpus, texts(self.described, field) if field else None)
        if strict and evaluation.split.whole_lists:
            leaks.stop_at_near_copies(int(leaks.near_copies(parts, parts.test).sum()), len(parts.test))
        shared_recordings.report(parts, shared_recordings.in_training(parts), strict=strict, note=self.reporter.note)
        for line in few_playlists(parts, evaluation.split):
            self.reporter.note(line)
        train = Training(self, parts.train)
        return Split(
            train,
            HeldOutPlaylists(self, parts.valid, train, "valid"),
            HeldOutPlaylists(self, parts.test, train, "test"),
        )

    def allow(self, field: str, source: str | None = None) -> Permission | None:
        """Return the permission to train on a field. Raises `InputError` if a required permission is missing."""
        ids = self.corpus.tracks["id"].to_pylist()
        with self.described.open() as catalogue:
            origins = catalogue.provenance(field, ids, source=source)
            if (
                self.strict
                or self.permission is not None
                or any(origin["train_allowed"] is False for origin in origins)
            ):
                permitted(catalogue, field, source, ids, self.permission)
                return self.permission
        silent = sorted(
            {str(origin["source"] or "an unnamed source") for origin in origins if origin["train_allowed"] is None}
        )
        if silent and field not in self._warned:
            self._warned.add(field)
            cure = 'pass permission="your reason" to the function that reads the playlists'
            warnings.warn(
                f"{', '.join(silent)} does not state whether training on {field!r} is allowed: {cure}", stacklevel=3
            )
        return UNSAID


def read_playlists(
    path: str | Path | None,
    *,
    reader: str = "auto",
    on_error: Literal["stop", "skip"] = "stop",
    level: Literal["track", "artist"] = "track",
    min_track_plays: int = 1,
    min_playlist_length: int = 2,
    repeats: Literal["keep", "drop"] = "drop",
    filters: Mapping[str, object] | None = None,
    permission: str | None = None,
    allow_label_leak: str | None = None,
    cache: str | Path | None = None,
    progress: Reporter | None = None,
    **options: object,
) -> Playlists:
    """Read playlists from a file or folder.

    - path: the file or folder; None for a reader that does not need one, such as `demo`.
    - reader: a name listed by `segue list readers`, or `module:Class`; `auto` detects the format.
    - on_error: `skip` omits and counts bad records; `stop` raises an error for the first bad record.
    - level: `artist` replaces each track by its artist.
    - min_track_plays, min_playlist_length, repeats: filters, as in a recipe's `data.filters`.
    - filters: other filters of that section, such as `{"most_played_tracks": 10_000}`.
    - permission: the reason why training on content is allowed although its source does not permit it.
    - allow_label_leak: the reason why a column that labels the playlist may be content of its tracks.
    - cache: folder for parsed data; default: `SEGUE_CACHE`, otherwise `runs/.cache`.
    - options: options of the reader, such as `fields={"lyrics": "lyrics"}` or `playlist="list_id"`.

    Raises `InputError` for a wrong option or a missing file, and `DataError` for an invalid file. The first use of
    content raises `LeakError` for a column that labels the playlist and is declared as content of its tracks.

    Example:
        >>> import segue
        >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200, fields=["lyrics"])
        >>> len(data)
        200
    """
    least = {"min_track_plays": min_track_plays, "min_playlist_length": min_playlist_length}
    chosen = {**least, "repeats": repeats, **(filters or {})}
    data = _data(path, reader, options, on_error, level, chosen, permission, allow_label_leak)
    return of_recipe(
        data, cache=None if cache is None else Path(cache), reporter=progress or interactive(), strict=False
    )


def from_dataframe(
    placements: object,
    tracks: object | None = None,
    *,
    on_error: Literal["stop", "skip"] = "stop",
    min_track_plays: int = 1,
    min_playlist_length: int = 2,
    repeats: Literal["keep", "drop"] = "drop",
    filters: Mapping[str, object] | None = None,
    permission: str | None = None,
    allow_label_leak: str | None = None,
    cache: str | Path | None = None,
    progress: Reporter | None = None,
    **options: object,
) -> Playlists:
    """Read playlists from a table in memory: pandas, Polars, PyArrow, Hugging Face or another Arrow C stream.

    - placements: one row per playlist entry, with the columns `playlist_id` and `track_id`, or one row per playlist
      with a list column.
    - tracks: one row per track, with the column `track_id`. Tracks that are only in this table are new releases.
    - options: options of the `parquet` reader, such as `playlist="list_id"`, `title="track_name"` or
      `fields={"lyrics": "lyrics"}`.

    The other parameters are those of `read_playlists`. Raises `InputError` for an unusable table or option.

    Example:
        >>> import pandas as pd
        >>> import segue
        >>> frame = pd.DataFrame({"playlist_id": [1, 1, 2, 2], "track_id": ["a", "b", "b", "c"]})
        >>> segue.from_dataframe(frame).tracks()["id"].tolist()
        ['local:a', 'local:b', 'local:c']
    """
    from toolkit.catalogue.readers.tables.arrow_tables import ArrowReader
    from toolkit.catalogue.readers.tables.dataframes import table_of
    from toolkit.catalogue.readers.tables.table_digest import table_digest
    from toolkit.files import digest

    if isinstance(placements, str | Path):
        raise InputError(
            f"placements={str(placements)!r} must be a table in memory: read files with segue.read_playlists"
        )
    table, about = table_of(placements), None if tracks is None else table_of(tracks)
    params = validated(ArrowReader.Params, options, "from_dataframe: ")
    least = {"min_track_plays": min_track_plays, "min_playlist_length": min_playlist_length}
    chosen = {**least, "repeats": repeats, **(filters or {})}
    data = _data(None, ArrowReader.name, options, on_error, "track", chosen, permission, allow_label_leak)
    root, reporter = cache_folder() if cache is None else Path(cache), progress or interactive()

    @functools.cache
    def content() -> Content:
        return {
            "path": None,
            "bytes": table.nbytes,
            "blake2b": digest([table_digest(each) for each in (table, about) if each is not None]),
        }

    def read(described: bool) -> Ingested:
        try:
            return ingest_from(
                lambda: ArrowReader(table, about, params, on_error=on_error),
                data,
                content,
                root,
                reporter=reporter,
                described=described,
            )
        except LeakError as error:
            raise _in_python(error) from None

    return Playlists(read, permission=data.permission, cache=root, reporter=reporter)


def of_recipe(
    data: Data, *, cache: Path | None, reporter: Reporter | None, strict: bool = True, factors: FactorSpec | None = None
) -> Playlists:
    """Read the playlists that a recipe's section `data` describes."""
    root, lines = cache or cache_folder(), reporter or Reporter()

    def read(described: bool) -> Ingested:
        try:
            return ingest(data, root, reporter=lines, described=described)
        except InputError as error:
            if strict:
                raise
            raise _in_python(error) from None

    return Playlists(
        read,
        permission=data.permission,
        strict=strict,
        cache=root,
        reporter=lines,
        factors=factors,
    )


def _data(
    path: str | Path | None,
    reader: str,
    options: dict[str, object],
    on_error: str,
    level: str,
    filters: Mapping[str, object],
    permission: str | None,
    allow_label_leak: str | None,
) -> Data:
    values = {
        "reader": reader,
        "path": path,
        "options": options,
        "on_error": on_error,
        "level": level,
        "filters": validated(Filters, filters, ""),
        "permission": None if permission is None else {"allowed": True, "reason": permission},
        "allow_label_leak": allow_label_leak,
    }
    return validated(Data, values, "")


def _in_python(error: InputError) -> InputError:
    """Return an error of the section `data` for Python, where its keys and the options of a reader are keywords."""
    return type(error)(str(error).replace("data.options.", "").replace("data.allow_label_leak", "allow_label_leak"))


def _rows(n: int) -> np.ndarray:
    import numpy as np

    return np.arange(n)


__all__ = ["Filters", "Playlists", "from_dataframe", "of_recipe", "read_playlists"]
