"""Modalities: one vector per track, computed by an encoder or elsewhere."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from segue.playlist_data import Playlists
from segue.split import Training
from toolkit.contracts.learning import NotLearned, message
from toolkit.errors import InputError
from toolkit.modality import Modality as Aligned
from toolkit.progress import interactive

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from toolkit.corpus.arrays import Corpus
    from toolkit.encoders.contract.encoder import Encoder
    from toolkit.ingest.encoder_targets import FactorTargets, Labels
    from toolkit.progress import Progress
    from toolkit.recipe import Targets


@dataclass(frozen=True)
class Modality:
    """Vectors of tracks, created with `encode` or `vectors`.

    - ids: n external track ids.
    - matrix: float32 [n, d]; rows of absent tracks have no meaning.
    - present: bool [n], False if the track does not have this modality.
    - encoder: the fitted encoder, which can transform further inputs; None for vectors computed elsewhere.
    - aligned: the same vectors in the order of the catalogue.
    - targets: facts about the targets of a supervised encoder.
    - collapsed: why a trained encoder did not learn, in one line, or "".
    """

    name: str
    ids: Sequence[str]
    matrix: np.ndarray
    present: np.ndarray
    encoder: Encoder | None = None
    aligned: Aligned | None = None
    targets: Mapping[str, object] | None = None
    collapsed: str = ""

    def __repr__(self) -> str:
        tracks = f"{int(self.present.sum()):,} of {len(self.ids):,} tracks"
        return f"<segue.Modality {self.name}: {tracks}, {self.matrix.shape[1]} numbers each>"

    def to_frame(self) -> pd.DataFrame:
        """Return one row per track that has the modality, indexed by id."""
        import pandas as pd

        return pd.DataFrame(
            self.matrix[self.present], index=pd.Index(np.asarray(self.ids, object)[self.present], name="id")
        )

    def save(self, path: str | Path, names: pa.Table | None = None) -> None:
        """Write the ids and vectors of the tracks that have the modality. The encoder `vectors` reads the file.

        - path: must end in `.parquet`, `.safetensors` or `.npz`.
        - names: table of id, title and artist, which are written to Parquet files.
        """
        from toolkit.continuation.export_vectors import write

        write(Path(path), np.asarray(self.ids, object)[self.present].tolist(), self.matrix[self.present], names)

    def on(self, corpus: Corpus) -> Aligned:
        """Return the vectors in the order of a corpus, float32 [V + 1, d]. Row 0 is padding.

        Raises `InputError` if none of the ids is known.
        """
        ids = corpus.tracks["id"].to_pylist()
        if self.aligned is not None and (self.ids is ids or list(self.ids) == ids):
            return self.aligned
        item_of = {track: item for item, track in enumerate(ids, start=1)}
        items = np.array([item_of.get(track) or item_of.get(f"local:{track}", 0) for track in self.ids], np.int64)
        known = (items > 0) & self.present
        if not known.any():
            raise InputError(
                f"modality {self.name!r}: the {len(self.ids):,} ids must include ids of the catalogue: pass ids such as"
                f" {ids[0]!r}"
            )
        used = items[known]
        if len(np.unique(used)) < len(used):
            raise InputError(
                f"modality {self.name!r} must have one vector per track, but two ids such as 'a' and 'local:a' are the"
                " same track: remove one"
            )
        if unknown := int((items == 0).sum()):
            warnings.warn(
                f"modality {self.name!r}: {unknown:,} of {len(self.ids):,} ids are not in the catalogue",
                stacklevel=3,
            )
        matrix, present = np.zeros((len(ids) + 1, self.matrix.shape[1]), np.float32), np.zeros(len(ids) + 1, bool)
        matrix[items[known]], present[items[known]] = self.matrix[known], True
        return Aligned(self.name, matrix, present, self.aligned.encoder if self.aligned is not None else "vectors")


def vectors(name: str, ids: Sequence[object], matrix: np.ndarray) -> Modality:
    """Create a modality from vectors that were computed elsewhere.

    - name: name of the modality.
    - ids: n external track ids; `a` also matches `local:a`.
    - matrix: [n, d], finite numbers; a row of NaN means that the track does not have the modality.

    Raises `InputError` for a wrong shape, for infinite numbers and for duplicate ids.

    Example:
        >>> import numpy as np
        >>> import segue
        >>> segue.vectors("mine", ["local:a", "local:b"], np.ones((2, 3)))
        <segue.Modality mine: 2 of 2 tracks, 3 numbers each>
    """
    rows, names = np.asarray(matrix, np.float32), [str(track) for track in ids]
    if rows.ndim != 2 or len(rows) != len(names) or not rows.shape[1]:
        raise InputError(f"modality {name!r}: matrix shape {rows.shape} must be ({len(names)}, d), one row per id")
    if len(set(names)) < len(names):
        twice = next(track for place, track in enumerate(names) if track in names[:place])
        raise InputError(f"modality {name!r}: ids must be unique, but {twice!r} is listed twice: remove one vector")
    present = np.asarray(~np.isnan(rows).all(axis=1))
    if not np.isfinite(rows[present]).all():
        where = names[int(np.flatnonzero(present & ~np.isfinite(rows).all(axis=1))[0])]
        raise InputError(
            f"modality {name!r}: the vector of {where!r} must be finite: remove the track, or pass a row of NaN"
        )
    return Modality(name, names, np.where(present[:, None], rows, np.float32(0)), present)


def encode(
    data: Playlists,
    field: str,
    encoder: str | type[Encoder] | Encoder = "sentence-bert",
    *,
    name: str | None = None,
    fit_on: Training | None = None,
    targets: str | Targets | None = None,
    source: str | None = None,
    seed: int = 0,
    device: str = "auto",
    engine: Literal["local", "ray"] = "local",
    workers: int | None = None,
    progress: Progress | None = None,
    **params: object,
) -> Modality:
    """Encode a field of the catalogue. The result is cached under a hash of all inputs and settings.

    - field: a field of the catalogue, such as `lyrics`, or a template such as `{title} by {artist}`.
    - encoder: a name listed by `segue list encoders`, `module:Class`, a class, or an encoder.
    - name: name of the modality; default: the field's name.
    - fit_on: the training playlists, from whose tracks an encoder learns.
    - targets: field with the labels that a supervised encoder learns to predict, or `Targets`, which can also select
      factors.
    - source: use only values from this source.
    - seed, device: random seed and device of the encoder.
    - engine: `ray` encodes in several processes with Ray.
    - workers: number of processes.
    - params: parameters of the encoder.

    Warns if a trained encoder did not learn. Raises `InputError` for a wrong name or parameter, for a field without
    values, and if a trainable encoder is used without `fit_on`.

    Example:
        >>> import segue
        >>> data = segue.read_playlists(None, reader="demo", tracks=300, artists=40, playlists=200, fields=["lyrics"])
        >>> split = data.split()
        >>> segue.encode(data, "lyrics", "tfidf", dim=16, fit_on=split.train).matrix.shape
        (300, 16)
    """
    from toolkit.encoders.contract.encode import FitOn
    from toolkit.encoders.contract.encode import encode as run
    from toolkit.encoders.contract.field_values import FieldValues
    from toolkit.ingest.encoder_targets import FactorTargets
    from toolkit.packages import check_installed

    if fit_on is not None and not isinstance(fit_on, Training):
        raise InputError(f"fit_on must be split.train, not {type(fit_on).__name__}")
    if fit_on is not None and fit_on.data is not data and fit_on.data.hash != data.hash:
        raise InputError("fit_on must be from a split of the same data: pass data.split().train")
    name = name or field
    made = _encoder(encoder, name, params, seed=seed, device=device)
    check_installed(f"encoder {made.name!r}", made.requires)
    trained = None if fit_on is None else fit_on.counts[1:] > 0
    if (made.needs_fit or targets is not None) and trained is None:
        raise InputError(f"encoder {made.name!r} must be fitted to training tracks: pass fit_on=split.train")
    ids = data.corpus.tracks["id"].to_pylist()
    data.allow(field, source)
    learned = None if targets is None or fit_on is None else _learned(fit_on, targets, seed, device)
    present, values = data.values(field, source)
    fitted = trained if learned is None else np.asarray(learned.matrix.any(axis=1))
    found = run(
        made,
        FieldValues(name, ids, present, values),
        cache=data.cache / "encodings",
        fit_on=FitOn(
            tracks=fitted if made.needs_fit else None,
            targets=None if learned is None else learned.matrix,
            feedback=learned.feedback() if isinstance(learned, FactorTargets) and made.needs_feedback else None,
        ),
        progress=progress or interactive(),
        engine=engine,
        workers=workers,
    )
    if found.collapsed:
        warnings.warn(message(name, found.collapsed), NotLearned, stacklevel=2)
    facts = None if learned is None else learned.facts()
    return Modality(name, ids, found.matrix[1:], found.present[1:], made, found, facts, found.collapsed)


def _learned(train: Training, targets: str | Targets, seed: int, device: str) -> Labels | FactorTargets:
    """Return the targets of a supervised encoder for training tracks."""
    from toolkit.ingest.encoder_targets import FactorTargets, labels
    from toolkit.recipe import Targets
    from toolkit.validation import validated

    asked = validated(Targets, {"field": targets}, "targets: ") if isinstance(targets, str) else targets
    trained = train.counts[1:] > 0
    if asked.factors is not None:
        return FactorTargets.of(train.factors(seed, device), asked, trained)
    data = train.data
    data.allow(asked.field or "", asked.source)
    with data.described.open() as catalogue:
        return labels(catalogue, asked, data.corpus.tracks["id"].to_pylist(), trained)


def _encoder(
    given: str | type[Encoder] | Encoder, name: str, params: dict[str, object], *, seed: int, device: str
) -> Encoder:
    from toolkit import devices
    from toolkit.encoders.contract import registry
    from toolkit.encoders.contract.encoder import Encoder
    from toolkit.seeds import derived_seed
    from toolkit.validation import validated

    if isinstance(given, Encoder):
        return given
    drawn = derived_seed(seed, "encoder", name)
    if isinstance(given, str):
        return registry.create(given, dict(params), seed=drawn, device=device)
    return given(
        validated(given.Params, params, f"encoder {given.name!r}: "), seed=drawn, device=devices.device(device)
    )


def modalities_of(given: Sequence[Modality]) -> list[Modality]:
    """Return modalities with unique names as a list. Raises `InputError` for other values."""
    found = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    for each in found:
        if not isinstance(each, Modality):
            raise InputError(
                f"modalities={given!r} must be a list of segue.Modality: pass results of segue.encode or segue.vectors"
            )
    names = [each.name for each in found]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"modality names must be unique, but {twice!r} is used twice: set segue.encode(…, name=…)")
    return found
