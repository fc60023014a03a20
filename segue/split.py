"""Training, validation and test playlists of a split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from toolkit.errors import InputError, LeakError
from toolkit.recipe import Permission

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import scipy.sparse as sp

    from segue.playlist_data import Playlists
    from toolkit.coldstart.factorisation import FactorStore
    from toolkit.corpus.arrays import Corpus
    from toolkit.corpus.splits import HeldOut, PlaylistSet

UNSAID = Permission(allowed=True, reason="given in Python; the source does not say")
"""Permission for content whose source does not state whether training is allowed.

Content whose source forbids training needs the user's permission, with a reason.
"""


@dataclass(frozen=True)
class Training:
    """Training playlists. store: factors that have been computed already."""

    data: Playlists
    playlists: PlaylistSet
    store: FactorStore | None = None

    def __repr__(self) -> str:
        return f"<segue.Training: {len(self):,} training playlists>"

    def __len__(self) -> int:
        return len(self.playlists)

    def to_frame(self) -> pd.DataFrame:
        """Return one row per playlist entry: playlist, position (from 0), track."""
        return placements_of(self.data.corpus, self.playlists)

    @cached_property
    def counts(self) -> np.ndarray:
        """Number of playlist entries of each item, int64 [V + 1]."""
        return self.playlists.counts()

    @cached_property
    def _stores(self) -> dict[tuple[int, str], FactorStore]:
        return {}

    @cached_property
    def _labels(self) -> dict[str, sp.csr_matrix | None]:
        return {}

    def factors(self, seed: int, device: str) -> FactorStore:
        """Return the factors of the training playlists, computed once and shared by all rankers."""
        if self.store is not None:
            return self.store
        from toolkit.coldstart.factorisation import FactorStore

        if (seed, device) not in self._stores:
            folder, spec = self.data.cache / "factors", self.data.factors
            self._stores[seed, device] = FactorStore(self.playlists, spec, seed, device, folder, self.data.reporter)
        return self._stores[seed, device]

    def labels(self, kinds: Iterable[str]) -> dict[str, sp.csr_matrix]:
        """Return artists, albums or genres of all tracks by kind, float32 [V + 1, L].

        Kinds that are not in the catalogue are omitted.
        """
        from toolkit.ingest.label_matrices import label_matrices

        ordered = sorted(set(kinds))
        if fresh := {kind for kind in ordered if kind not in self._labels}:
            permission = self.data.permission if self.data.strict else self.data.permission or UNSAID
            matrices = label_matrices(self.data.described, fresh, permission, self.data.reporter)
            self._labels.update({kind: matrices.get(kind) for kind in fresh})
        return {kind: matrix for kind in ordered if (matrix := self._labels[kind]) is not None}


@dataclass(frozen=True)
class HeldOutPlaylists:
    """Held-out playlists, of which a model sees the seeds while the other tracks are hidden.

    Example:
        >>> import segue
        >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200)
        >>> test = data.split("leave_last_out").test
        >>> len(test), list(test.hidden().columns)
        (200, ['playlist', 'position', 'track'])
    """

    data: Playlists
    playlists: HeldOut
    train: Training
    part: str

    def __repr__(self) -> str:
        return f"<segue.HeldOutPlaylists: {len(self):,} {self.part} playlists>"

    def __len__(self) -> int:
        return len(self.playlists)

    def seeds(self) -> pd.DataFrame:
        """Return the tracks that a model sees, one row per track: playlist, position (from 0), track."""
        queries = self.playlists.queries()
        return rows_of(self.data.corpus, self.playlists.rows, queries.seeds, queries.offsets)

    def hidden(self) -> pd.DataFrame:
        """Return the hidden tracks, one row per track: playlist, position among the hidden tracks (from 0), track."""
        return rows_of(self.data.corpus, self.playlists.rows, *self.playlists.hidden())


@dataclass(frozen=True)
class Split:
    """Training, validation and test playlists as `train`, `valid` and `test`."""

    train: Training
    valid: HeldOutPlaylists
    test: HeldOutPlaylists

    def __repr__(self) -> str:
        held_out = f"{len(self.valid):,} validation and {len(self.test):,} test playlists"
        return f"<segue.Split: {len(self.train):,} training, {held_out}>"


def placements_of(corpus: Corpus, playlists: PlaylistSet) -> pd.DataFrame:
    flat, offsets = playlists.flat()
    return rows_of(corpus, playlists.rows, flat, offsets)


def rows_of(corpus: Corpus, rows: object, items: object, offsets: object) -> pd.DataFrame:
    """Return one row per track of each playlist: playlist, position, track, with external ids."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    chosen, flat, bounds = np.asarray(rows), np.asarray(items, np.int64), np.asarray(offsets)
    lengths = np.diff(bounds)
    names = (
        corpus.playlists["id"].take(pa.array(chosen)).to_numpy(zero_copy_only=False)
        if len(chosen)
        else np.zeros(0, object)
    )
    tracks = (
        corpus.tracks["id"].take(pa.array(flat - 1)).to_numpy(zero_copy_only=False)
        if len(flat)
        else np.zeros(0, object)
    )
    position = np.arange(len(flat)) - np.repeat(bounds[:-1], lengths)
    return pd.DataFrame({"playlist": np.repeat(names, lengths), "position": position, "track": tracks})


def check_parts(train: object, valid: object) -> None:
    """Raise `InputError` unless both are parts of one split, and `LeakError` for model selection on the test."""
    if not isinstance(train, Training):
        raise InputError(
            f"train must be split.train, not {type(train).__name__}: call split = data.split(), then"
            " model.fit(split.train, split.valid)"
        )
    if valid is None:
        return
    if not isinstance(valid, HeldOutPlaylists):
        raise InputError(f"valid must be validation playlists, not {type(valid).__name__}: pass split.valid")
    if valid.part == "test":
        raise LeakError("valid=split.test would select the model on the test playlists: pass split.valid")
    check_apart(train, valid)


def check_apart(train: Training, held: HeldOutPlaylists) -> None:
    """Raise `InputError` for parts of different data, and `LeakError` if training contains hidden tracks."""
    from toolkit.evaluation import leaks

    if held.train is train:
        return
    ours, theirs = train.data.corpus, held.data.corpus
    if ours is not theirs and ours.digest() != theirs.digest():
        raise InputError("parts must be from splits of the same data: pass parts of one split")
    if held.playlists.hides is None:
        leaks.check_hidden(train.playlists, held.playlists)
