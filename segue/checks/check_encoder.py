"""The encoder contract as a test suite, for authors of plug-ins; the built-in encoders pass it too.

    from segue.plugin import check_encoder

    def test_contract():
        check_encoder(MyEncoder, ["some", "real", "inputs", "please"], {"dim": 8})

Plain asserts: each message says which promise of `toolkit.encoders.contract.encoder` is
broken and what usually breaks it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
from pydantic import ValidationError

from toolkit.encoders.contract.content_hash import digests
from toolkit.encoders.contract.encode import FitOn, encode
from toolkit.encoders.contract.field_values import FieldValues
from toolkit.encoders.contract.encoder import Encoder, EncoderParams, Kind
from toolkit.encoders.contract.encoding_cache import Tracks, key
from toolkit.errors import SegueError
from toolkit.packages import check_requires

Make = Callable[[], Encoder]


def check_encoder(
    cls: type[Encoder],
    inputs: Any,
    params: dict[str, Any] | None = None,
    *,
    targets: np.ndarray | None = None,
    tolerance: float = 1e-5,
    device: str = "cpu",
) -> None:
    """Hold `cls` with `params` to the contract. Raises `AssertionError` at the first broken promise.

    inputs: at least 4 of the encoder's kind, not all equal (features: float32 [n, c]).
    targets: float32 [n, t] for a supervised encoder. tolerance: allowed absolute difference
    where batches differ; raise it only for an encoder that computes in half precision.
    """
    assert len(inputs) >= 4, "give at least 4 inputs: batches of different sizes are compared"
    checked = cls.Params.model_validate(params or {})

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
        check_refusal(make, encoder, inputs, targets, rows, tolerance)
    if cls.supervised:
        check_needs_targets(make(), inputs)
    if cls.requires_fit:
        check_refit(make, inputs, targets)
        check_workdir(make, inputs, targets, rows)


def check_declaration(cls: type[Encoder]) -> None:
    """Name, version, kind, source and parameters are declared."""
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
    """A misspelt parameter is an error, not a silent default."""
    try:
        cls.Params.model_validate({"no_such_parameter": 1})
    except ValidationError:
        return
    raise AssertionError(f"{cls.name}: Params takes an unknown key; keep extra='forbid' of EncoderParams")


def check_unfitted(encoder: Encoder, inputs: Any) -> None:
    """An encoder that learns refuses to transform before it has."""
    try:
        encoder.transform(inputs)
    except SegueError:
        return
    raise AssertionError(
        f"{encoder.name}: transform before fit must raise a SegueError (segue.plugin.not_fitted makes one)"
    )


def check_output(encoder: Encoder, inputs: Any) -> np.ndarray:
    """float32 [n, dim], finite, inputs untouched; the embeddings."""
    before = digests(encoder.kind, inputs)
    rows = encoder.transform(inputs)
    assert isinstance(rows, np.ndarray), f"{encoder.name}: transform gave {type(rows).__name__}, not a NumPy array"
    assert rows.dtype == np.float32, f"{encoder.name}: transform gave {rows.dtype}, not float32"
    wanted = (len(inputs), encoder.dim)
    assert rows.shape == wanted, f"{encoder.name}: transform gave shape {rows.shape}, not (n, dim) = {wanted}"
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


def check_same_again(encoder: Encoder, inputs: Any, rows: np.ndarray) -> None:
    """A second encoder of the same seed gives the same bytes."""
    assert np.array_equal(encoder.transform(inputs), rows), (
        f"{encoder.name}: two encoders of one seed differ; draw from self.seed alone, not from global random state"
    )
    assert np.array_equal(encoder.transform(inputs), rows), f"{encoder.name}: a second transform differs from the first"


def check_batches(encoder: Encoder, inputs: Any, rows: np.ndarray, tolerance: float) -> None:
    """An input's embedding depends neither on the others of its batch nor on their order."""
    n = len(inputs)
    turned = [inputs[place] for place in range(n - 1, -1, -1)]
    backwards = encoder.transform(_like(inputs, turned))[::-1]
    _close(backwards, rows, tolerance, f"{encoder.name}: embeddings change with the order of the inputs")
    half = n // 2
    parts = [encoder.transform(inputs[:half]), encoder.transform(inputs[half:])]
    _close(
        np.concatenate(parts),
        rows,
        tolerance,
        f"{encoder.name}: embeddings change with the batch; is something normalised over it?",
    )


def check_small(encoder: Encoder, inputs: Any, rows: np.ndarray, tolerance: float) -> None:
    """No input gives [0, dim]; a single one gives its row."""
    none = encoder.transform(inputs[:0])
    assert none.shape == (0, encoder.dim), f"{encoder.name}: no inputs gave shape {none.shape}, not (0, {encoder.dim})"
    assert none.dtype == np.float32, f"{encoder.name}: no inputs gave {none.dtype}, not float32"
    _close(
        encoder.transform(inputs[:1]),
        rows[:1],
        tolerance,
        f"{encoder.name}: a single input differs from its row in the batch",
    )


def check_saved(encoder: Encoder, inputs: Any, rows: np.ndarray, device: str) -> None:
    """Save, then load, gives the same bytes, without pickle."""
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


def check_cache_key(make: Make, inputs: Any) -> None:
    """Every parameter, and every input, is in the cache key; the key is the same for the same things."""
    encoder, tracks = make(), _tracks(make().kind, inputs)
    base = key(encoder, tracks)
    assert key(make(), tracks) == base, (
        f"{encoder.name}: the cache key of the same parameters differs; is fingerprint() random?"
    )
    turned = _like(inputs, [inputs[place] for place in range(len(inputs) - 1, -1, -1)])
    assert key(encoder, _tracks(encoder.kind, turned)) != base, f"{encoder.name}: the cache key ignores the inputs"
    for field in type(encoder).Params.model_fields:
        other = make()
        before = other.fingerprint()
        other.params = other.params.model_copy(update={field: f"not {getattr(other.params, field)}"})
        other.fingerprint = lambda before=before: before  # type: ignore[method-assign, misc]
        changed = _key_of(other, tracks)
        assert changed != base, (
            f"{encoder.name}: parameter {field!r} is not in the cache key; do not exclude it from the model"
        )


def check_absent(make: Make, inputs: Any, targets: np.ndarray | None, tolerance: float) -> None:
    """Absent tracks get zero rows and `present` False, and change nothing for the others."""
    n = len(inputs)
    present = np.ones(n + 2, dtype=bool)
    present[[1, n + 1]] = False
    ids = [f"local:{place}" for place in range(n + 2)]
    wide = None if targets is None else np.zeros((n + 2, targets.shape[1]), np.float32)
    if wide is not None and targets is not None:
        wide[present] = targets
    with tempfile.TemporaryDirectory() as folder:
        encoder = make()
        made = encode(
            encoder, FieldValues("check", ids, present, list(inputs)), cache=Path(folder), fit_on=FitOn(targets=wide)
        )
        again = encode(
            make(), FieldValues("check", ids, present, list(inputs)), cache=Path(folder), fit_on=FitOn(targets=wide)
        )
    assert made.matrix.shape == (n + 3, encoder.dim), (
        f"{encoder.name}: encode gave {made.matrix.shape}, not (V + 1, dim)"
    )
    expected = encoder.transform(inputs)
    known = expected.any(axis=1) if encoder.may_be_empty else np.ones(n, dtype=bool)
    present[present] = known
    assert made.present.tolist() == [False, *present.tolist()], (
        f"{encoder.name}: encode lost which tracks have the field"
    )
    assert not made.matrix[~made.present].any(), f"{encoder.name}: rows of absent tracks are not zero"
    _close(
        made.matrix[made.present],
        expected[known],
        tolerance,
        f"{encoder.name}: rows of present tracks are not their embeddings",
    )
    assert np.array_equal(again.matrix, made.matrix), f"{make().name}: the cached embeddings differ"


def check_refusal(
    make: Make, encoder: Encoder, inputs: Any, targets: np.ndarray | None, rows: np.ndarray, tolerance: float
) -> None:
    """A file that cannot be read gives a row of NaN, teaches nothing, and changes nothing for the others."""
    mixed = [*inputs[:2], b"no file of any kind", *inputs[2:]]
    good = [place for place in range(len(mixed)) if place != 2]
    found = encoder.transform(mixed)
    assert np.isnan(found[2]).all(), f"{encoder.name}: a file that cannot be read must give a row of NaN"
    _close(found[good], rows, tolerance, f"{encoder.name}: a file that cannot be read changes the others' embeddings")
    if encoder.requires_fit:
        wide = None if targets is None else np.insert(targets, 2, 0, axis=0)
        _close(
            make().fit(mixed, wide).transform(inputs),
            rows,
            tolerance,
            f"{encoder.name}: fit learned from a file that cannot be read",
        )


def check_needs_targets(encoder: Encoder, inputs: Any) -> None:
    """A supervised encoder refuses to fit without targets, and says so."""
    try:
        encoder.fit(inputs)
    except SegueError as error:
        assert "target" in str(error), (
            f"{encoder.name}: fit without targets says {error}; name the targets (see faults.needs_targets)"
        )
        return
    raise AssertionError(
        f"{encoder.name}: fit without targets must raise a SegueError (segue.plugin.needs_targets makes one)"
    )


def check_refit(make: Make, inputs: Any, targets: np.ndarray | None) -> None:
    """A second fit starts anew, as if there had been no first."""
    few = inputs[: len(inputs) // 2 + 1]
    twice = make().fit(few, None if targets is None else targets[: len(few)]).fit(inputs, targets)
    once = make().fit(inputs, targets)
    assert twice.dim == once.dim, f"{once.name}: dim after a second fit is {twice.dim}, not {once.dim}"
    assert np.array_equal(twice.transform(inputs), once.transform(inputs)), (
        f"{once.name}: a second fit remembers the first"
    )


def check_workdir(make: Make, inputs: Any, targets: np.ndarray | None, rows: np.ndarray) -> None:
    """Checkpoints in `workdir` change nothing: neither while they are written nor when they are found."""
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


def _like(inputs: Any, items: list[Any]) -> Any:
    return np.stack(items) if isinstance(inputs, np.ndarray) else items


def _tracks(kind: Kind, inputs: Any) -> Tracks:
    present = np.ones(len(inputs), dtype=bool)
    return Tracks([str(place) for place in range(len(inputs))], present, digests(kind, inputs), present)


def _key_of(encoder: Encoder, tracks: Tracks) -> str:
    """The key of parameters changed to values outside their types, which only their serialiser sees."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return key(encoder, tracks)


def _close(found: np.ndarray, expected: np.ndarray, tolerance: float, message: str) -> None:
    assert found.shape == expected.shape, f"{message}: shape {found.shape}, not {expected.shape}"
    worst = float(np.abs(found - expected).max(initial=0.0))
    assert worst <= tolerance, f"{message}: largest difference {worst:.2e}, allowed {tolerance:.0e}"
