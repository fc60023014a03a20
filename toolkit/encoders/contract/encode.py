"""One field of the catalogue through one encoder: absence, repeats, cache, and parts that survive a kill."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.encoders.contract import ray_engine
from toolkit.encoders.contract.content_hash import digests, distinct
from toolkit.encoders.contract.encoder import Encoder, Kind, Progress
from toolkit.encoders.contract.encoder_files import read_tensors, write_tensors
from toolkit.encoders.contract.encoding_cache import EncodingCache, Tracks, key, restore
from toolkit.encoders.contract.field_inputs import checked, take
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.encoders.contract.ray_engine import Engine, Part
from toolkit.encoders.learning.weighted_prediction_error import Feedback
from toolkit.errors import DataError, InputError, SegueError
from toolkit.modality import Modality

PART: dict[Kind, int] = {"text": 2048, "image": 2048, "audio": 512, "category": 262_144, "features": 262_144}
"""Inputs whose embeddings a kill may lose; fixed, so that a resumed transform has the same bytes."""


def encode(
    name: str,
    encoder: Encoder,
    ids: Sequence[str],
    present: np.ndarray,
    values: Sequence[Any],
    *,
    cache: Path,
    workdir: Path | None = None,
    split_key: str = "",
    targets: np.ndarray | None = None,
    feedback: Feedback | None = None,
    fitted: np.ndarray | None = None,
    progress: Progress | None = None,
    engine: Engine = "local",
    workers: int | None = None,
) -> Modality:
    """Embeddings of every track that has an input.

    ids: V track ids, in the corpus's order. present: bool [V]. values: the
    inputs of the present tracks, in order (features: numbers; text, category:
    strings; image, audio: bytes or paths). targets: float32 [V, t] for a supervised
    encoder; feedback: of all V, for one that `needs_feedback`. fitted: bool [V], the tracks it may learn from; default: all.
    Equal texts, images and categories are encoded, and learned from, once
    (with targets every track counts). workdir: where unfinished work is kept;
    default: beside the cache. An encoder that learns comes back fitted, from the
    cache too. engine: `ray` transforms in `workers` processes of Ray; the vectors
    are the same, learning stays here.

    Returns a `Modality` with matrix float32 [V + 1, d]; row 0 and absent rows are zero. Tracks whose input an encoder
    refuses, or knows nothing of (`Encoder.refuses`, `silent`), are absent, and a warning counts them.
    Raises `InputError` where no track has an input, `DataError` naming the
    track whose input cannot be read.
    """
    present = np.asarray(present, dtype=bool)
    _check_sizes(name, ids, present, values)
    owners = [ids[int(row)] for row in np.flatnonzero(present)]
    inputs = checked(name, encoder.kind, owners, values)
    with _naming(name, owners, range(len(owners))):
        marks = digests(encoder.kind, inputs)
    tracks = Tracks(ids, present, marks, _fitted(name, present, fitted), targets)
    entry, store = key(encoder, tracks, split_key=split_key), EncodingCache(Path(cache))
    short = np.zeros(len(ids) + 1, bool)
    made = store.load(entry, encoder, tracks)
    if made is None:
        work = (Path(workdir) if workdir is not None else Path(cache) / "unfinished") / entry
        rows, short[1:][present] = _Job(
            name, encoder, owners, inputs, tracks, work, progress, engine, workers, feedback
        ).rows()
        # of a million rows no second copy: this one is stored and given back
        padded = np.zeros((len(ids) + 1, rows.shape[1]), np.float32)
        padded[1:][present] = rows
        del rows
        store.store(entry, encoder, tracks, padded[1:], short[1:])
        shutil.rmtree(work, ignore_errors=True)
    else:
        padded, short[1:] = np.concatenate([np.zeros((1, made[0].shape[1]), np.float32), made[0]]), made[1]
        del made
    present = _without_refused(name, encoder, ids, padded[1:], present)
    if short.any():
        what = "clips are shorter than the encoder hears and end in silence"
        warnings.warn(
            f"{name}: {short.sum()} of {present.sum()} {what}: {_listed(ids, short[1:])}", RuntimeWarning, stacklevel=2
        )
    return Modality(name, padded, np.concatenate([[False], present]), label(encoder), short if short.any() else None)


def _without_refused(
    name: str, encoder: Encoder, ids: Sequence[str], matrix: np.ndarray, present: np.ndarray
) -> np.ndarray:
    """Clear the rows of NaN and say which tracks are left; the cache keeps such rows, so that every run warns of them."""
    refused = np.isnan(matrix).all(axis=1) if encoder.refuses else np.zeros(len(ids), bool)
    unknown = present & ~matrix.any(axis=1) if encoder.silent else np.zeros(len(ids), bool)
    what = "that cannot be read or is too short" if encoder.kind == "audio" else "that cannot be read"
    refusal = encoder.refusal or ("can be read", what, "`on_error: stop` says what is wrong with the first")
    faults = (
        (refused, *refusal),
        (unknown, "has a known word", "without a known word", "are they of another language, or cleaned away?"),
    )
    for fault, none, what, cure in faults:
        if not fault.any():
            continue
        if fault.sum() == present.sum():
            raise InputError(f"{name}: none of {fault.sum()} inputs {none}: {cure}")
        shown = _listed(ids, fault)
        message = f"{name}: {fault.sum()} of {int(present.sum())} tracks have an input {what} and count as absent: {shown} ({cure})"
        warnings.warn(message, RuntimeWarning, stacklevel=3)
    matrix[refused] = 0
    return present & ~refused & ~unknown


def _listed(ids: Sequence[str], chosen: np.ndarray) -> str:
    """The first ids of those chosen, bool [V]."""
    rows = np.flatnonzero(chosen)
    return ", ".join(repr(ids[int(row)]) for row in rows[:3]) + (", …" if len(rows) > 3 else "")


def label(encoder: Encoder) -> str:
    """Name and parameters, for reports."""
    return f"{encoder.name} {json.dumps(encoder.params.model_dump(mode='json'), sort_keys=True)}"


def _check_sizes(name: str, ids: Sequence[str], present: np.ndarray, values: Sequence[Any]) -> None:
    if present.shape != (len(ids),) or int(present.sum()) != len(values):
        raise InputError(
            f"{name}: {len(ids)} ids, present of shape {present.shape} with {int(present.sum())} true, {len(values)} values"
        )
    if not len(values):
        raise InputError(
            f"{name}: no track of {len(ids)} has this field: leave the modality out, or collect the field first"
        )


def _fitted(name: str, present: np.ndarray, fitted: np.ndarray | None) -> np.ndarray:
    chosen = present if fitted is None else np.asarray(fitted, dtype=bool) & present
    if not chosen.any():
        raise InputError(f"{name}: none of the tracks to learn from has this field")
    return chosen


@dataclass(frozen=True)
class _Job:
    """One encoding that is not in the cache. owners: the track id of each input. work: its folder, named by its key."""

    name: str
    encoder: Encoder
    owners: Sequence[str]
    inputs: Any
    tracks: Tracks
    work: Path
    progress: Progress | None
    engine: Engine
    workers: int | None
    feedback: Feedback | None

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Fit where the encoder learns, then transform every distinct input once: float32 [present, d]; and short clips bool [present]."""
        first, inverse = self._distinct(np.arange(len(self.owners)))
        if self.encoder.learns:
            self._fit()
        made, short = self._transform(first)
        return (made, short) if np.array_equal(inverse, np.arange(len(made))) else (made[inverse], short[inverse])

    def _distinct(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First places of the different inputs, and for each place which of them it equals; features are not looked through."""
        if self.encoder.kind == "features":
            return places, np.arange(len(places))
        first, inverse = distinct(self.tracks.marks[places])
        return places[first], inverse

    def _fit(self) -> None:
        state = self.work / "encoder"
        if (state / "encoder.json").is_file():
            try:
                return restore(self.encoder, state)
            except DataError as error:
                warnings.warn(f"{self.name}: fitting again: {error}", RuntimeWarning, stacklevel=2)
        for part in self.work.glob("part-*.safetensors"):
            part.unlink()  # of an encoder that is no more
        learn = np.flatnonzero(self.tracks.fitted[self.tracks.present])
        targets = self.tracks.targets
        if targets is None:
            learn = self._distinct(learn)[0]
        else:
            targets = np.asarray(targets, np.float32)[self.tracks.present][learn]
        with _naming(self.name, self.owners, learn):
            self.encoder.fit(
                take(self.inputs, learn),
                targets,
                workdir=self.work / "fit",
                progress=self.progress,
                **self._told(learn),
            )
        self.encoder.save(state)

    def _told(self, learn: np.ndarray) -> dict[str, Any]:
        """The feedback of the present inputs at `learn`, for an encoder that takes it."""
        if self.feedback is None or not self.encoder.needs_feedback:
            return {}
        return {"feedback": self.feedback.take(np.flatnonzero(self.tracks.present)[learn])}

    def _transform(self, first: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings of the inputs at `first`, part by part, and which are of short clips; parts made before a kill are read, not made."""
        size = PART[self.encoder.kind]
        starts = range(0, len(first), size)
        parts = [
            Part(start, min(start + size, len(first)), self.work / f"part-{start:09d}.safetensors") for start in starts
        ]
        if self.engine == "ray":
            self._scale_out(first, [part for part in parts if _saved(part) is None])
        made, short = np.empty((0, 0), np.float32), np.zeros(len(first), bool)
        for part in parts:
            rows, cut = self._part(first, part, keep=len(parts) > 1)
            if not part.start:
                made = np.empty((len(first), rows.shape[1]), np.float32)
            made[part.start : part.stop], short[part.start : part.stop] = rows, cut
        return made, short

    def _scale_out(self, first: np.ndarray, parts: list[Part]) -> None:
        """Make the files of `parts` in other processes."""
        if not parts:
            return
        self.work.mkdir(parents=True, exist_ok=True)
        given = ((part, take(self.inputs, first[part.start : part.stop])) for part in parts)
        done = len(first) - sum(part.stop - part.start for part in parts)
        with _naming(self.name, self.owners, first):
            for part in ray_engine.transform(self.encoder, given, self.work, workers=self.workers):
                done += part.stop - part.start
                if self.progress is not None:
                    self.progress(done, len(first), f"encode {self.name}")

    def _part(self, first: np.ndarray, part: Part, *, keep: bool) -> tuple[np.ndarray, np.ndarray]:
        saved = _saved(part)
        if saved is not None:
            rows, short = saved
        else:
            with _naming(self.name, self.owners, first[part.start : part.stop]):
                inputs = take(self.inputs, first[part.start : part.stop])
                rows = self.encoder.transform(
                    inputs, progress=_shifted(self.progress, part.start, len(first), self.name)
                )
            short = ray_engine.short(self.encoder, part.stop - part.start)
        _check_output(self.name, self.encoder, rows, part.stop - part.start)
        if saved is None and keep:
            write_tensors(part.path, {"matrix": rows, "short": short}, {})
        if self.progress is not None:
            self.progress(part.stop, len(first), f"encode {self.name}")
        return rows, short


@contextmanager
def _naming(name: str, owners: Sequence[str], places: Sequence[int] | np.ndarray) -> Iterator[None]:
    """Turn the place of a bad input into its track's id, and say of other faults which modality they are of."""
    try:
        yield
    except BadInput as fault:
        raise DataError(f"{name}: track {owners[int(places[fault.index])]!r} {fault.why}") from None
    except InputError as error:
        raise type(error)(f"{name}: {error}") from None


def _saved(part: Part) -> tuple[np.ndarray, np.ndarray] | None:
    if not part.path.is_file():
        return None
    length = part.stop - part.start
    try:
        tensors = read_tensors(part.path)[0]
        rows = tensors.get("matrix")
        if rows is None or rows.ndim != 2 or len(rows) != length:
            raise DataError(f"{part.path} is not {length} rows")
        return rows, tensors.get("short", np.zeros(length, bool))
    except DataError as error:
        warnings.warn(f"part made again: {error}", RuntimeWarning, stacklevel=2)
        return None


def _shifted(progress: Progress | None, start: int, total: int, name: str) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _, what: progress(start + done, total, f"encode {name}")


def _check_output(name: str, encoder: Encoder, rows: Any, length: int) -> None:
    if not isinstance(rows, np.ndarray) or rows.dtype != np.float32 or rows.shape != (length, encoder.dim):
        got = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise SegueError(
            f"{name}: encoder {encoder.name!r} gave {got}, not float32 {(length, encoder.dim)}: try check_encoder"
        )
    broken = ~np.isfinite(rows).all(axis=1)
    if encoder.refuses:
        broken &= ~np.isnan(rows).all(axis=1)
    if broken.any():
        place = int(np.flatnonzero(broken)[0])
        raise SegueError(
            f"{name}: encoder {encoder.name!r} gave numbers that are not finite for input {place}: see `refuses` in toolkit.encoders.contract.encoder"
        )
