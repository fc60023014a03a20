"""The encoder contract as a test suite, for authors of plug-ins; the built-in encoders pass it too.

    from segue.plugin import check_encoder

    def test_contract():
        check_encoder(MyEncoder, ["some", "real", "inputs", "please"], {"dim": 8})

The checks are plain asserts. Each message names the broken rule of `toolkit.encoders.contract.encoder` and its usual
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
    """Test an encoder against the contract. Raises `AssertionError` at the first broken rule.

    - cls, params: the encoder and its parameters.
    - inputs: at least 4 inputs of its kind, not all equal (features: float32 [n, c]).
    - targets: float32 [n, t] for a supervised encoder.
    - tolerance: allowed absolute difference between batches; raise it only for an encoder in half precision.
    - device: `cpu` or `cuda`.
    """
    assert len(inputs) >= 4, "give at least 4 inputs: batches of different sizes are compared"
    checked = cls.Params.model_validate(dict(params or {}))

    def make(seed: int = 0) -> Encoder:
        return cls(checked.model_copy(deep=True), seed=seed, device=device)

    def ready(seed: int = 0) -> Encoder:
        encoder = make(seed)
        return encoder.fit(inputs, targets) if cls.requires_fit else encoder

    check_declaration(cls)
    check_params(cls)
    if cls.requires_fit:
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
    if cls.requires_fit:
        check_refit(make, inputs, targets)
        check_workdir(make, inputs, targets, rows)


def check_declaration(cls: type[Encoder]) -> None:
    """The encoder declares name, version, kind, source and parameters."""
    assert isinstance(getattr(cls, "name", None), str) and cls.name, f"{cls.__name__}.name must be the name in recipes"
    assert isinstance(cls.version, str) and cls.version, (
        f"{cls.name}: version must be a string, changed whenever outputs change"
    )
    kinds = get_args(Kind)
    assert getattr(cls, "kind", None) in kinds, (
        f"{cls.name}: kind={getattr(cls, 'kind', None)!r} must be one of {', '.join(kinds)}"
    )
    assert cls.source, f"{cls.name}: source must name the paper and section, or the model's page"
    assert issubclass(cls.Params, EncoderParams), f"{cls.name}: Params must extend segue.plugin.EncoderParams"
    check_requires(cls)


def check_params(cls: type[Encoder]) -> None:
    """A misspelt parameter is an error."""
    try:
        cls.Params.model_validate({"no_such_parameter": 1})
    except ValidationError:
        return
    raise AssertionError(f"{cls.name}: Params takes an unknown key; keep extra='forbid' of EncoderParams")


def check_unfitted(encoder: Encoder, inputs: Inputs) -> None:
    """An encoder that learns raises an error in `transform` before `fit`."""
    try:
        encoder.transform(inputs)
    except SegueError:
        return
    raise AssertionError(
        f"{encoder.name}: transform before fit must raise a SegueError (segue.plugin.not_fitted makes one)"
    )


def check_output(encoder: Encoder, inputs: Inputs) -> np.ndarray:
    """The output is float32 [n, dim], finite, and the inputs are unchanged. Returns the output."""
    before = digests(encoder.kind, inputs)
    rows = encoder.transform(inputs)
    assert isinstance(rows, np.ndarray), f"{encoder.name}: transform gave {type(rows).__name__}, not a NumPy array"
    assert rows.dtype == np.float32, f"{encoder.name}: transform gave {rows.dtype}, not float32"
    shape = (len(inputs), encoder.dim)
    assert rows.shape == shape, f"{encoder.name}: transform gave shape {rows.shape}, not (n, dim) = {shape}"
    assert np.isfinite(rows).all(), (
        f"{encoder.name}: transform gave NaN or infinity; mind constant columns and empty texts"
    )
    assert np.array_equal(before, digests(encoder.kind, inputs)), (
        f"{encoder.name}: transform changed its inputs in place"
    )
    assert len(np.unique(rows, axis=0)) > 1, (
        f"{encoder.name}: every input has the same embedding; are the inputs all equal?"
    )
    return rows


def check_same_again(encoder: Encoder, inputs: Inputs, rows: np.ndarray) -> None:
    """A second encoder of the same seed returns the same bytes."""
    assert np.array_equal(encoder.transform(inputs), rows), (
        f"{encoder.name}: two encoders of one seed differ; draw from self.seed alone, not from global random state"
    )
    assert np.array_equal(encoder.transform(inputs), rows), f"{encoder.name}: a second transform differs from the first"


def check_batches(encoder: Encoder, inputs: Inputs, rows: np.ndarray, tolerance: float) -> None:
    """A vector depends neither on the other inputs of the batch nor on their order."""
    n = len(inputs)
    backwards = encoder.transform(_reversed(inputs))[::-1]
    _close(backwards, rows, tolerance, f"{encoder.name}: embeddings change with the order of the inputs")
    half = n // 2
    parts = [encoder.transform(inputs[:half]), encoder.transform(inputs[half:])]
    _close(
        np.concatenate(parts),
        rows,
        tolerance,
        f"{encoder.name}: embeddings change with the batch; is something normalised over it?",
    )


def check_small(encoder: Encoder, inputs: Inputs, rows: np.ndarray, tolerance: float) -> None:
    """No inputs give [0, dim]; a single input gives its row."""
    none = encoder.transform(inputs[:0])
    assert none.shape == (0, encoder.dim), f"{encoder.name}: no inputs gave shape {none.shape}, not (0, {encoder.dim})"
    assert none.dtype == np.float32, f"{encoder.name}: no inputs gave {none.dtype}, not float32"
    _close(
        encoder.transform(inputs[:1]),
        rows[:1],
        tolerance,
        f"{encoder.name}: a single input differs from its row in the batch",
    )


def check_saved(encoder: Encoder, inputs: Inputs, rows: np.ndarray, device: str) -> None:
    """A saved and loaded encoder returns the same bytes, without pickle."""
    with tempfile.TemporaryDirectory() as folder:
        encoder.save(Path(folder) / "saved")
        names = sorted(path.name for path in (Path(folder) / "saved").iterdir())
        assert "encoder.json" in names, f"{encoder.name}: save wrote {names}, no encoder.json"
        strange = [name for name in names if not name.endswith((".json", ".safetensors"))]
        assert not strange, f"{encoder.name}: save wrote {strange}; only JSON and safetensors load without running code"
        loaded = type(encoder).load(Path(folder) / "saved", device=device)
    assert loaded.params == encoder.params, (
        f"{encoder.name}: load gave parameters {loaded.params}, saved were {encoder.params}"
    )
    assert loaded.seed == encoder.seed, f"{encoder.name}: load gave seed {loaded.seed}, saved was {encoder.seed}"
    assert np.array_equal(loaded.transform(inputs), rows), f"{encoder.name}: embeddings differ after save and load"


def check_cache_key(make: Make, inputs: Inputs) -> None:
    """The cache key depends on every parameter and every input, and on nothing random."""
    encoder, tracks = make(), _tracks(make().kind, inputs)
    base = key(encoder, tracks)
    assert key(make(), tracks) == base, (
        f"{encoder.name}: the cache key of the same parameters differs; is fingerprint() random?"
    )
    assert key(encoder, _tracks(encoder.kind, _reversed(inputs))) != base, (
        f"{encoder.name}: the cache key ignores the inputs"
    )
    for field in type(encoder).Params.model_fields:
        other = make()
        before = other.fingerprint()
        other.params = other.params.model_copy(update={field: f"not {getattr(other.params, field)}"})
        other.fingerprint = lambda before=before: before  # type: ignore[method-assign, misc]
        changed = _key_of(other, tracks)
        assert changed != base, (
            f"{encoder.name}: parameter {field!r} is not in the cache key; do not exclude it from the model"
        )


def check_absent(make: Make, inputs: Inputs, targets: np.ndarray | None, tolerance: float) -> None:
    """Absent tracks have rows of zeros and `present` False, and do not change other rows."""
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
        f"{encoder.name}: encode gave {encoded.matrix.shape}, not (V + 1, dim)"
    )
    expected = encoder.transform(inputs)
    known = expected.any(axis=1) if encoder.may_be_empty else np.ones(n, dtype=bool)
    present[present] = known
    assert encoded.present.tolist() == [False, *present.tolist()], (
        f"{encoder.name}: encode lost which tracks have the field"
    )
    assert not encoded.matrix[~encoded.present].any(), f"{encoder.name}: rows of absent tracks are not zero"
    _close(
        encoded.matrix[encoded.present],
        expected[known],
        tolerance,
        f"{encoder.name}: rows of present tracks are not their embeddings",
    )
    assert np.array_equal(again.matrix, encoded.matrix), f"{make().name}: the cached embeddings differ"


def check_unreadable(
    make: Make, encoder: Encoder, inputs: Inputs, targets: np.ndarray | None, rows: np.ndarray, tolerance: float
) -> None:
    """A file that cannot be read has a row of NaN, is ignored by `fit`, and does not change other rows."""
    mixed = [*inputs[:2], b"no file of any kind", *inputs[2:]]
    good = [index for index in range(len(mixed)) if index != 2]
    result = encoder.transform(mixed)
    assert np.isnan(result[2]).all(), f"{encoder.name}: a file that cannot be read must give a row of NaN"
    _close(result[good], rows, tolerance, f"{encoder.name}: a file that cannot be read changes the others' embeddings")
    if encoder.requires_fit:
        wide = None if targets is None else np.insert(targets, 2, 0, axis=0)
        _close(
            make().fit(mixed, wide).transform(inputs),
            rows,
            tolerance,
            f"{encoder.name}: fit learned from a file that cannot be read",
        )


def check_needs_targets(encoder: Encoder, inputs: Inputs) -> None:
    """A supervised encoder raises an error that names the targets if it is fitted without any."""
    try:
        encoder.fit(inputs)
    except SegueError as error:
        assert "target" in str(error), (
            f"{encoder.name}: fit without targets says {error}; name the targets (see segue.plugin.needs_targets)"
        )
        return
    raise AssertionError(
        f"{encoder.name}: fit without targets must raise a SegueError (segue.plugin.needs_targets makes one)"
    )


def check_refit(make: Make, inputs: Inputs, targets: np.ndarray | None) -> None:
    """A second fit does not depend on the first."""
    few = inputs[: len(inputs) // 2 + 1]
    twice = make().fit(few, None if targets is None else targets[: len(few)]).fit(inputs, targets)
    once = make().fit(inputs, targets)
    assert twice.dim == once.dim, f"{once.name}: dim after a second fit is {twice.dim}, not {once.dim}"
    assert np.array_equal(twice.transform(inputs), once.transform(inputs)), (
        f"{once.name}: a second fit remembers the first"
    )


def check_workdir(make: Make, inputs: Inputs, targets: np.ndarray | None, rows: np.ndarray) -> None:
    """Checkpoints in `workdir` do not change the result, neither while they are written nor when they are loaded."""
    with tempfile.TemporaryDirectory() as folder:
        for attempt in ("first", "second"):
            encoder = make().fit(inputs, targets, workdir=Path(folder) / "fit")
            same = np.array_equal(encoder.transform(inputs), rows)
            assert same, f"{encoder.name}: the {attempt} fit with a workdir differs from a fit without one"
        other = make().fit(inputs[:-1], None if targets is None else targets[:-1], workdir=Path(folder) / "fit")
        plain = make().fit(inputs[:-1], None if targets is None else targets[:-1])
        same = np.array_equal(other.transform(inputs), plain.transform(inputs))
        assert same, (
            f"{other.name}: a fit on other inputs took the checkpoint it found; keep a digest of the inputs in it"
        )


def _reversed(inputs: Inputs) -> Inputs:
    return inputs[::-1].copy() if isinstance(inputs, np.ndarray) else inputs[::-1]


def _tracks(kind: Kind, inputs: Inputs) -> Tracks:
    present = np.ones(len(inputs), dtype=bool)
    return Tracks([str(index) for index in range(len(inputs))], present, digests(kind, inputs), present)


def _key_of(encoder: Encoder, tracks: Tracks) -> str:
    """The cache key with parameters of other types, of which only the serialiser warns."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return key(encoder, tracks)


def _close(result: np.ndarray, expected: np.ndarray, tolerance: float, message: str) -> None:
    assert result.shape == expected.shape, f"{message}: shape {result.shape}, not {expected.shape}"
    worst = float(np.abs(result - expected).max(initial=0.0))
    assert worst <= tolerance, f"{message}: largest difference {worst:.2e}, allowed {tolerance:.0e}"
