"""Conformance suite for encoders, for authors of plug-ins. The built-in encoders pass it too.

    from segue.plugin import check_encoder

    def test_contract():
        check_encoder(MyEncoder, ["some", "real", "inputs", "please"], {"dim": 8})

The checks are plain asserts. Each message names the violated rule of `toolkit.encoders.contract.encoder` and the usual
cause.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from pydantic import ValidationError

from toolkit.encoders.contract.content_hash import digests
from toolkit.encoders.contract.encode import FitOn, encode
from toolkit.encoders.contract.encoder import Encoder, EncoderParams, Kind
from toolkit.encoders.contract.encoding_cache import Tracks, key
from toolkit.encoders.contract.field_values import FieldValues
from toolkit.errors import SegueError
from toolkit.packages import check_requires

Make = Callable[[], Encoder]
Inputs = np.ndarray | Sequence[str] | Sequence[bytes]


def check_encoder(
    cls: type[Encoder],
    inputs: Inputs,
    params: Mapping[str, object] | None = None,
    *,
    targets: np.ndarray | None = None,
    tolerance: float = 1e-5,
    device: str = "cpu",
) -> None:
    """Test an encoder against the contract. Raises `AssertionError` at the first violated rule.

    - cls, params: the encoder and its parameters.
    - inputs: at least 4 inputs of the encoder's kind, not all equal (features: float32 [n, c]).
    - targets: float32 [n, t] for a supervised encoder.
    - tolerance: allowed absolute difference between batches; increase it only for an encoder in half precision.
    - device: `cpu` or `cuda`.
    """
    assert len(inputs) >= 4, f"{len(inputs)} inputs are too few to compare batches: pass at least 4"
    checked = cls.Params.model_validate(dict(params or {}))

    def make(seed: int = 0) -> Encoder:
        return cls(checked.model_copy(deep=True), seed=seed, device=device)

    def ready(seed: int = 0) -> Encoder:
        encoder = make(seed)
        return encoder.fit(inputs, targets) if encoder.needs_fit else encoder

    check_declaration(cls)
    check_params(cls)
    if make().needs_fit:
        check_unfitted(make(), inputs)
    encoder = ready()
    rows = check_output(encoder, inputs)
    check_same_again(ready(), inputs, rows)
    check_batches(encoder, inputs, rows, tolerance)
    check_small(encoder, inputs, rows, tolerance)
    check_saved(encoder, inputs, rows, device)
    check_cache_key(make, inputs)
    check_absent(make, inputs, targets, tolerance)
    if cls.can_fail:
        check_unreadable(make, encoder, inputs, targets, rows, tolerance)
    if cls.supervised:
        check_needs_targets(make(), inputs)
    if encoder.needs_fit:
        check_refit(make, inputs, targets)
        check_workdir(make, inputs, targets, rows)


def check_declaration(cls: type[Encoder]) -> None:
    """Check that the encoder declares a name, a version, a kind, a source and parameters."""
    assert isinstance(getattr(cls, "name", None), str) and cls.name, (
        f"{cls.__name__}.name must be a non-empty string: set the name that recipes use"
    )
    assert isinstance(cls.version, str) and cls.version, (
        f"{cls.name}: version={cls.version!r} must be a non-empty string: change it whenever outputs change"
    )
    kinds = get_args(Kind)
    assert getattr(cls, "kind", None) in kinds, (
        f"{cls.name}: kind={getattr(cls, 'kind', None)!r} must be one of {', '.join(kinds)}"
    )
    assert cls.source, f"{cls.name}: source={cls.source!r} must name the paper and section, or the model's page"
    assert issubclass(cls.Params, EncoderParams), f"{cls.name}: Params must be a subclass of segue.plugin.EncoderParams"
    check_requires(cls)


def check_params(cls: type[Encoder]) -> None:
    """Check that an unknown parameter raises an error."""
    try:
        cls.Params.model_validate({"no_such_parameter": 1})
    except ValidationError:
        return
    raise AssertionError(f"{cls.name}: Params must reject unknown keys: keep extra='forbid' of EncoderParams")


def check_unfitted(encoder: Encoder, inputs: Inputs) -> None:
    """Check that `transform` raises an error before `fit` if the encoder needs fitting."""
    try:
        encoder.transform(inputs)
    except SegueError:
        return
    raise AssertionError(
        f"{encoder.name}: transform before fit must raise SegueError: raise segue.plugin.not_fitted(name)"
    )


def check_output(encoder: Encoder, inputs: Inputs) -> np.ndarray:
    """Check that the output is finite float32 [n, dim] and that the inputs are unchanged. Returns the output."""
    before = digests(encoder.kind, inputs)
    rows = encoder.transform(inputs)
    assert isinstance(rows, np.ndarray), (
        f"{encoder.name}: transform returned {type(rows).__name__} and must return a NumPy array"
    )
    assert rows.dtype == np.float32, f"{encoder.name}: transform returned {rows.dtype}, not float32"
    shape = (len(inputs), encoder.dim)
    assert rows.shape == shape, (
        f"{encoder.name}: transform returned shape {rows.shape} and must return (n, dim) = {shape}"
    )
    assert np.isfinite(rows).all(), (
        f"{encoder.name}: transform must return finite numbers: handle constant columns and empty texts"
    )
    assert np.array_equal(before, digests(encoder.kind, inputs)), (
        f"{encoder.name}: transform must not change the inputs in place: copy them"
    )
    assert len(np.unique(rows, axis=0)) > 1, (
        f"{encoder.name}: every input has the same embedding: pass inputs that differ"
    )
    return rows


def check_same_again(encoder: Encoder, inputs: Inputs, rows: np.ndarray) -> None:
    """Check that a second encoder with the same seed returns identical bytes."""
    assert np.array_equal(encoder.transform(inputs), rows), (
        f"{encoder.name}: encoders with equal seeds must return identical vectors: draw from self.seed only"
    )
    assert np.array_equal(encoder.transform(inputs), rows), (
        f"{encoder.name}: repeated transforms must return identical vectors"
    )


def check_batches(encoder: Encoder, inputs: Inputs, rows: np.ndarray, tolerance: float) -> None:
    """Check that a vector depends neither on the other inputs of the batch nor on their order."""
    n = len(inputs)
    backwards = encoder.transform(_reversed(inputs))[::-1]
    _close(backwards, rows, tolerance, f"{encoder.name}: embeddings must not depend on the order of the inputs")
    half = n // 2
    parts = [encoder.transform(inputs[:half]), encoder.transform(inputs[half:])]
    _close(
        np.concatenate(parts),
        rows,
        tolerance,
        f"{encoder.name}: embeddings must not depend on the batch: normalise each input separately",
    )


def check_small(encoder: Encoder, inputs: Inputs, rows: np.ndarray, tolerance: float) -> None:
    """Check that an empty input returns [0, dim] and that a single input returns the same row as in a batch."""
    none = encoder.transform(inputs[:0])
    assert none.shape == (0, encoder.dim), (
        f"{encoder.name}: transform of an empty input returned {none.shape} and must return (0, {encoder.dim})"
    )
    assert none.dtype == np.float32, (
        f"{encoder.name}: transform of an empty input returned {none.dtype} and must return float32"
    )
    _close(
        encoder.transform(inputs[:1]),
        rows[:1],
        tolerance,
        f"{encoder.name}: a single input must have the same embedding as in a batch",
    )


def check_saved(encoder: Encoder, inputs: Inputs, rows: np.ndarray, device: str) -> None:
    """Check that an encoder returns identical bytes after saving and loading without pickle."""
    with tempfile.TemporaryDirectory() as folder:
        encoder.save(Path(folder) / "saved")
        names = sorted(path.name for path in (Path(folder) / "saved").iterdir())
        assert "encoder.json" in names, f"{encoder.name}: save wrote {names} and must also write encoder.json"
        strange = [name for name in names if not name.endswith((".json", ".safetensors"))]
        assert not strange, f"{encoder.name}: save wrote {strange} and must write only JSON and safetensors"
        loaded = type(encoder).load(Path(folder) / "saved", device=device)
    assert loaded.params == encoder.params, (
        f"{encoder.name}: load returned parameters {loaded.params} and must return the saved {encoder.params}"
    )
    assert loaded.seed == encoder.seed, (
        f"{encoder.name}: load returned seed {loaded.seed} and must return the saved {encoder.seed}"
    )
    assert np.array_equal(loaded.transform(inputs), rows), (
        f"{encoder.name}: embeddings must be identical after save and load"
    )


def check_cache_key(make: Make, inputs: Inputs) -> None:
    """Check that the cache key depends on every parameter and every input, and on nothing random."""
    encoder, tracks = make(), _tracks(make().kind, inputs)
    base = key(encoder, tracks)
    assert key(make(), tracks) == base, (
        f"{encoder.name}: equal parameters must have equal cache keys: remove random values from fingerprint()"
    )
    assert key(encoder, _tracks(encoder.kind, _reversed(inputs))) != base, (
        f"{encoder.name}: the cache key must depend on the inputs"
    )
    for field in type(encoder).Params.model_fields:
        other = make()
        before = other.fingerprint()
        other.params = other.params.model_copy(update={field: f"not {getattr(other.params, field)}"})
        other.fingerprint = lambda before=before: before  # type: ignore[method-assign, misc]
        changed = _key_of(other, tracks)
        assert changed != base, (
            f"{encoder.name}: the cache key must depend on parameter {field!r}: remove exclude=True from the field"
        )


def check_absent(make: Make, inputs: Inputs, targets: np.ndarray | None, tolerance: float) -> None:
    """Check that absent tracks have zero rows and `present` False, and that they do not change other rows."""
    n = len(inputs)
    present = np.ones(n + 2, dtype=bool)
    present[[1, n + 1]] = False
    ids = [f"local:{index}" for index in range(n + 2)]
    wide = None if targets is None else np.zeros((n + 2, targets.shape[1]), np.float32)
    if wide is not None and targets is not None:
        wide[present] = targets
    with tempfile.TemporaryDirectory() as folder:
        encoder = make()
        encoded = encode(
            encoder, FieldValues("check", ids, present, list(inputs)), cache=Path(folder), fit_on=FitOn(targets=wide)
        )
        again = encode(
            make(), FieldValues("check", ids, present, list(inputs)), cache=Path(folder), fit_on=FitOn(targets=wide)
        )
    assert encoded.matrix.shape == (n + 3, encoder.dim), (
        f"{encoder.name}: encode returned {encoded.matrix.shape} and must return (V + 1, dim)"
    )
    expected = encoder.transform(inputs)
    known = expected.any(axis=1) if encoder.may_be_empty else np.ones(n, dtype=bool)
    present[present] = known
    assert encoded.present.tolist() == [False, *present.tolist()], (
        f"{encoder.name}: `present` must be True exactly for tracks that have the field"
    )
    assert not encoded.matrix[~encoded.present].any(), f"{encoder.name}: rows of absent tracks must be zero"
    _close(
        encoded.matrix[encoded.present],
        expected[known],
        tolerance,
        f"{encoder.name}: rows of present tracks must equal the output of transform",
    )
    assert np.array_equal(again.matrix, encoded.matrix), f"{make().name}: cached embeddings must equal computed ones"


def check_unreadable(
    make: Make, encoder: Encoder, inputs: Inputs, targets: np.ndarray | None, rows: np.ndarray, tolerance: float
) -> None:
    """Check that an unreadable file gets a row of NaN, is ignored by `fit` and does not change other rows."""
    mixed = [*inputs[:2], b"no file of any kind", *inputs[2:]]
    good = [index for index in range(len(mixed)) if index != 2]
    result = encoder.transform(mixed)
    assert np.isnan(result[2]).all(), f"{encoder.name}: an unreadable file must have a row of NaN"
    _close(result[good], rows, tolerance, f"{encoder.name}: an unreadable file must not change other rows")
    if encoder.needs_fit:
        wide = None if targets is None else np.insert(targets, 2, 0, axis=0)
        _close(
            make().fit(mixed, wide).transform(inputs),
            rows,
            tolerance,
            f"{encoder.name}: fit must ignore unreadable files",
        )


def check_needs_targets(encoder: Encoder, inputs: Inputs) -> None:
    """Check that fitting a supervised encoder without targets raises an error that mentions targets."""
    try:
        encoder.fit(inputs)
    except SegueError as error:
        assert "target" in str(error), (
            f"{encoder.name}: the error {str(error)!r} must mention targets: raise needs_targets(name)"
        )
        return
    raise AssertionError(
        f"{encoder.name}: fit without targets must raise SegueError: raise segue.plugin.needs_targets(name)"
    )


def check_refit(make: Make, inputs: Inputs, targets: np.ndarray | None) -> None:
    """Check that a second fit does not depend on the first."""
    few = inputs[: len(inputs) // 2 + 1]
    twice = make().fit(few, None if targets is None else targets[: len(few)]).fit(inputs, targets)
    once = make().fit(inputs, targets)
    assert twice.dim == once.dim, f"{once.name}: dim={twice.dim} after a second fit must equal {once.dim}"
    assert np.array_equal(twice.transform(inputs), once.transform(inputs)), (
        f"{once.name}: a second fit must not depend on the first: reset the state in fit"
    )


def check_workdir(make: Make, inputs: Inputs, targets: np.ndarray | None, rows: np.ndarray) -> None:
    """Check that writing and loading checkpoints in `workdir` does not change the result."""
    with tempfile.TemporaryDirectory() as folder:
        for attempt in ("first", "second"):
            encoder = make().fit(inputs, targets, workdir=Path(folder) / "fit")
            same = np.array_equal(encoder.transform(inputs), rows)
            assert same, f"{encoder.name}: the {attempt} fit with workdir must equal a fit without workdir"
        other = make().fit(inputs[:-1], None if targets is None else targets[:-1], workdir=Path(folder) / "fit")
        plain = make().fit(inputs[:-1], None if targets is None else targets[:-1])
        same = np.array_equal(other.transform(inputs), plain.transform(inputs))
        assert same, f"{other.name}: fit must not resume from a checkpoint of other inputs: store an input digest"


def _reversed(inputs: Inputs) -> Inputs:
    return inputs[::-1].copy() if isinstance(inputs, np.ndarray) else inputs[::-1]


def _tracks(kind: Kind, inputs: Inputs) -> Tracks:
    present = np.ones(len(inputs), dtype=bool)
    return Tracks([str(index) for index in range(len(inputs))], present, digests(kind, inputs), present)


def _key_of(encoder: Encoder, tracks: Tracks) -> str:
    """Return the cache key of an encoder whose parameters have values of a wrong type. Warnings are suppressed."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return key(encoder, tracks)


def _close(result: np.ndarray, expected: np.ndarray, tolerance: float, message: str) -> None:
    assert result.shape == expected.shape, f"{message} (shape {result.shape}, expected {expected.shape})"
    worst = float(np.abs(result - expected).max(initial=0.0))
    assert worst <= tolerance, f"{message} (difference {worst:.2e}, allowed {tolerance:.0e})"
