"""Encoding of a catalogue field, with missing values, repeated inputs, caching and resuming after a kill."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from toolkit.contracts.learning import sample_rows
from toolkit.encoders.contract import ray_engine
from toolkit.encoders.contract.content_hash import digests, distinct
from toolkit.encoders.contract.encoder import CUT, SHORT, Encoder, FailureText, Kind, Progress
from toolkit.encoders.contract.encoder_files import read_tensors, write_tensors
from toolkit.encoders.contract.encoding_cache import EncodingCache, Tracks, key, restore
from toolkit.encoders.contract.field_values import FieldValues, Files, Inputs, take
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.encoders.contract.ray_engine import Engine, Part
from toolkit.errors import DataError, InputError, SegueError
from toolkit.files import changed_while_read
from toolkit.modality import EncodingCost, Modality

if TYPE_CHECKING:
    from toolkit.encoders.learning.weighted_prediction_error import Feedback

PART: dict[Kind, int] = {"text": 2048, "image": 2048, "audio": 512, "category": 262_144, "features": 262_144}
"""Number of inputs per part, the most that a kill can lose.

The sizes are fixed because a resumed transform must return identical bytes.
"""

NO_KNOWN_WORD = FailureText(
    "has a known word", "without a known word", "check the language of the texts, or remove cleaning steps"
)


@dataclass(frozen=True)
class FitOn:
    """Training data of an encoder.

    - tracks: bool [V], the training tracks. The default is all tracks.
    - targets: float32 [V, t], required by a supervised encoder.
    - feedback: interactions of all V tracks, required by an encoder with `needs_feedback`.
    """

    tracks: np.ndarray | None = None
    targets: np.ndarray | None = None
    feedback: Feedback | None = None


def encode(
    encoder: Encoder,
    field: FieldValues,
    *,
    cache: Path,
    fit_on: FitOn = FitOn(),
    progress: Progress | None = None,
    engine: Engine = "local",
    workers: int | None = None,
) -> Modality:
    """Encode every track that has an input.

    Identical texts, files and names are encoded once and used once for fitting. With targets, every track is used for
    fitting. The encoder is fitted in place or restored from the cache.

    - encoder: the encoder. Its kind determines the allowed values.
    - field: the values, and the tracks that have a value.
    - cache: folder for finished and unfinished encodings.
    - fit_on: training data of the encoder.
    - engine, workers: `ray` runs `transform` in `workers` Ray processes and returns identical vectors. The encoder is
      fitted in this process.

    Returns a `Modality` with a matrix float32 [V + 1, d], in which row 0 and the rows of absent tracks are zero. Tracks
    whose input is unreadable or has no known content (see `Encoder.can_fail` and `may_be_empty`) are absent, and a
    warning reports their number. Raises `InputError` if no track has an input, and `DataError` with the track id for a
    damaged input.
    """
    inputs = field.inputs(encoder.kind)
    with _named_faults(field, range(len(field.owners))):
        content = digests(encoder.kind, inputs)
    fitted = field.present if fit_on.tracks is None else np.asarray(fit_on.tracks, dtype=bool) & field.present
    if not fitted.any():
        raise InputError(
            f"{field.name}: at least 1 training track must have this field: collect the field or remove the modality"
        )
    tracks = Tracks(field.ids, field.present, content, fitted, fit_on.targets, fit_on.feedback)
    entry, store = key(encoder, tracks), EncodingCache(Path(cache))
    marks = np.zeros(len(field.ids) + 1, np.uint8)
    cached = store.load(entry, encoder, tracks)
    if cached is None:
        work = Path(cache) / "unfinished" / entry
        job = _Encoding(encoder, field, inputs, tracks, fit_on.feedback, work, progress, engine, workers)
        began = time.perf_counter()
        job.fit()
        learned = time.perf_counter()
        rows, marks[1:][field.present] = job.rows()
        cost: EncodingCost | None = _cost(encoder, learned - began, time.perf_counter() - learned)
        _check_unchanged(encoder, field, inputs, tracks, entry)
        # a million rows must not be copied twice: this matrix is stored and returned
        padded = np.zeros((len(marks), rows.shape[1]), np.float32)
        padded[1:][field.present] = rows
        del rows
        store.store(entry, encoder, tracks, padded[1:], marks[1:], cost)
        shutil.rmtree(work, ignore_errors=True)
    else:
        padded, marks[1:] = np.concatenate([np.zeros((1, cached[0].shape[1]), np.float32), cached[0]]), cached[1]
        del cached
        cost = store.cost(entry)
    present = _clear_failed(encoder, field, padded[1:])
    learning = encoder.learning
    if learning is not None:
        rows = 1 + np.flatnonzero(present)
        sample = padded[rows[sample_rows(len(rows), padded.shape[1])]]
        learning = learning.of_vectors(sample, distinct=len(distinct(content)[0]))
    short, cut = (marks & mark > 0 for mark in (SHORT, CUT))
    for flags, what in (
        (short, "clips are shorter than the encoder reads at once and are padded with silence"),
        (cut, "files are cut short on disk and are used as far as they play"),
    ):
        if flags.any():
            warnings.warn(
                f"{field.name}: {flags.sum()} of {present.sum()} {what}: {_examples(field, flags[1:])}",
                RuntimeWarning,
                stacklevel=2,
            )
    return Modality(
        field.name,
        padded,
        np.concatenate([[False], present]),
        f"{encoder.name} {json.dumps(encoder.params.model_dump(mode='json'), sort_keys=True)}",
        short if short.any() else None,
        "" if learning is None else learning.collapsed,
        cut if cut.any() else None,
        cost,
    )


def _cost(encoder: Encoder, fit_seconds: float, encode_seconds: float) -> EncodingCost:
    """Return the cost of an encoding. The epochs of a training that was interrupted count in full."""
    epochs = sum(float(epoch.get("seconds", 0.0)) for epoch in encoder.curve)
    return EncodingCost(round(max(fit_seconds, epochs), 3) if encoder.needs_fit else 0.0, round(encode_seconds, 3))


def _check_unchanged(encoder: Encoder, field: FieldValues, inputs: Inputs, tracks: Tracks, entry: str) -> None:
    """Raise `DataError` if model files or inputs are no longer those whose hash is in the cache key."""
    if key(encoder, tracks) != entry:
        raise changed_while_read(f"{field.name}: a file that encoder {encoder.name!r} reads")
    paths = isinstance(inputs, Files) and inputs.has_paths
    if paths and not np.array_equal(digests(encoder.kind, inputs), tracks.digests):
        raise changed_while_read(f"{field.name}: an {encoder.kind} file")


def _clear_failed(encoder: Encoder, field: FieldValues, matrix: np.ndarray) -> np.ndarray:
    """Set rows of NaN to zero, warn about failed and empty inputs, and return the remaining tracks, bool [V].

    The cache keeps the rows of NaN because every run must repeat the warning.
    """
    count = int(field.present.sum())
    failed = np.isnan(matrix).all(axis=1) & encoder.can_fail
    empty = field.present & ~matrix.any(axis=1) & encoder.may_be_empty
    for tracks, text in ((failed, encoder.failure_text), (empty, NO_KNOWN_WORD)):
        if tracks.sum() == count:
            raise InputError(f"{field.name}: none of {count} inputs {text.none}: {text.cure}")
        if tracks.any():
            absent = f"{tracks.sum()} of {count} tracks have an input {text.some} and count as absent"
            warnings.warn(
                f"{field.name}: {absent}: {_examples(field, tracks)} ({text.cure})", RuntimeWarning, stacklevel=3
            )
    matrix[failed] = 0
    return field.present & ~failed & ~empty


def _examples(field: FieldValues, chosen: np.ndarray) -> str:
    """Return up to three ids of the selected tracks, bool [V], as text."""
    rows = np.flatnonzero(chosen)
    return ", ".join(repr(field.ids[int(row)]) for row in rows[:3]) + (", …" if len(rows) > 3 else "")


@dataclass(frozen=True)
class _Encoding:
    """An encoding that is not in the cache.

    - work: folder named after the cache key.
    """

    encoder: Encoder
    field: FieldValues
    inputs: Inputs
    tracks: Tracks
    feedback: Feedback | None
    work: Path
    progress: Progress | None
    engine: Engine
    workers: int | None

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Transform every distinct input once.

        Returns the vectors float32 [present, d] and the marks of their inputs, uint8 [present].
        """
        first, inverse = self._distinct(np.arange(len(self.inputs)))
        rows, marks = self._transform(first)
        return (rows, marks) if np.array_equal(inverse, np.arange(len(rows))) else (rows[inverse], marks[inverse])

    def _distinct(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first index of each distinct input in `indices`, and a position in this list for each index.

        All feature rows are treated as distinct.
        """
        if self.encoder.kind == "features":
            return indices, np.arange(len(indices))
        first, inverse = distinct(self.tracks.digests[indices])
        return indices[first], inverse

    def fit(self) -> None:
        """Fit the encoder, or restore it if it was fitted before an interruption. Does nothing if it does not learn."""
        if not self.encoder.needs_fit:
            return None
        state = self.work / "encoder"
        if (state / "encoder.json").is_file():
            try:
                return restore(self.encoder, state)
            except DataError as error:
                warnings.warn(f"{self.field.name}: the encoder is fitted again: {error}", RuntimeWarning, stacklevel=2)
        for part in self.work.glob("part-*.safetensors"):
            part.unlink()  # computed by an encoder that is lost
        learn = np.flatnonzero(self.tracks.fitted[self.tracks.present])
        targets = self.tracks.targets
        if targets is None:
            learn = self._distinct(learn)[0]
        else:
            targets = np.asarray(targets, np.float32)[self.tracks.present][learn]
        feedback = {}
        if self.feedback is not None and self.encoder.needs_feedback:
            feedback = {"feedback": self.feedback.take(np.flatnonzero(self.tracks.present)[learn])}
        with _named_faults(self.field, learn):
            self.encoder.fit(
                take(self.inputs, learn), targets, workdir=self.work / "fit", progress=self.progress, **feedback
            )
        self.encoder.save(state)

    def _transform(self, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Transform the inputs at `first`, int64 [u], part by part. Parts that are already on disk are loaded.

        Returns the vectors float32 [u, d] and the marks of their inputs, uint8 [u].
        """
        size = PART[self.encoder.kind]
        parts = [
            Part(start, min(start + size, len(first)), self.work / f"part-{start:09d}.safetensors")
            for start in range(0, len(first), size)
        ]
        if self.engine == "ray":
            self._transform_by_ray(first, [part for part in parts if _saved(part) is None])
        matrix, marks = np.empty((0, 0), np.float32), np.zeros(len(first), np.uint8)
        for part in parts:
            rows, marks[part.start : part.stop] = self._transform_part(first, part, keep=len(parts) > 1)
            if not part.start:
                matrix = np.empty((len(first), rows.shape[1]), np.float32)
            matrix[part.start : part.stop] = rows
        return matrix, marks

    def _transform_by_ray(self, first: np.ndarray, parts: list[Part]) -> None:
        """Write the files of `parts` in Ray processes."""
        if not parts:
            return
        self.work.mkdir(parents=True, exist_ok=True)
        inputs = ((part, take(self.inputs, first[part.start : part.stop])) for part in parts)
        done = len(first) - sum(map(len, parts))
        with _named_faults(self.field, first):
            for part in ray_engine.transform(self.encoder, inputs, self.work, workers=self.workers):
                done += len(part)
                self._report(done, len(first))

    def _transform_part(self, first: np.ndarray, part: Part, *, keep: bool) -> tuple[np.ndarray, np.ndarray]:
        saved = _saved(part)
        if saved is not None:
            rows, marks = saved
        else:
            with _named_faults(self.field, first[part.start : part.stop]):
                rows = self.encoder.transform(
                    take(self.inputs, first[part.start : part.stop]),
                    progress=lambda done, *_: self._report(part.start + done, len(first)),
                )
            marks = ray_engine.marks(self.encoder, len(part))
        _check_output(self.field.name, self.encoder, rows, len(part))
        if saved is None and keep:
            write_tensors(part.path, {"matrix": rows, "marks": marks}, {})
        self._report(part.stop, len(first))
        return rows, marks

    def _report(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(done, total, f"encode {self.field.name}")


@contextmanager
def _named_faults(field: FieldValues, indices: Sequence[int] | np.ndarray) -> Iterator[None]:
    """Add the track id to the error of an input, and the modality to any other input error.

    - indices: position of each input of the batch among all inputs.
    """
    try:
        yield
    except BadInput as fault:
        raise DataError(f"{field.name}: track {field.owners[int(indices[fault.index])]!r} {fault.why}") from None
    except InputError as error:
        raise type(error)(f"{field.name}: {error}") from None


def _saved(part: Part) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the vectors and marks of a part, or None if its file is missing or damaged."""
    if not part.path.is_file():
        return None
    try:
        tensors = read_tensors(part.path)[0]
        if "matrix" not in tensors or tensors["matrix"].ndim != 2 or len(tensors["matrix"]) != len(part):
            raise DataError(f"{part.path} must hold a matrix of {len(part)} rows")
    except DataError as error:
        warnings.warn(f"a part is recomputed: {error}", RuntimeWarning, stacklevel=2)
        return None
    return tensors["matrix"], tensors.get("marks", np.zeros(len(part), np.uint8))


def _check_output(name: str, encoder: Encoder, rows: object, length: int) -> None:
    shape = (length, encoder.dim)
    if not isinstance(rows, np.ndarray) or rows.dtype != np.float32 or rows.shape != shape:
        output = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise SegueError(
            f"{name}: encoder {encoder.name!r} returned {output} but must return float32 {shape}: test the encoder "
            "with check_encoder"
        )
    broken = ~np.isfinite(rows).all(axis=1) & ~(np.isnan(rows).all(axis=1) & encoder.can_fail)
    if broken.any():
        index = int(np.flatnonzero(broken)[0])
        raise SegueError(
            f"{name}: encoder {encoder.name!r} returned NaN or infinity for input {index} but must return finite "
            "numbers: set `can_fail` and return a row of NaN for an unreadable input"
        )
