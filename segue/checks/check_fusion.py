"""Conformance suites for joins and missing-value policies, for authors of plug-ins.

    from segue.plugin import check_join, check_missing

    check_join(MyJoin(heads=2))
    check_missing(MyPolicy())

The checks are plain asserts. Each message names the violated rule of `toolkit.contracts.join` or
`toolkit.contracts.missing_policy` and the usual cause. The part is tested inside an item table over a small
synthetic catalogue.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch
from pydantic import ValidationError

from toolkit.contracts.join import Join, Shares
from toolkit.contracts.missing_policy import Missing
from toolkit.errors import SegueError
from toolkit.fusion.item_table import ItemTable
from toolkit.fusion.modality_blocks import prepared_blocks
from toolkit.modality import Modality
from toolkit.recipe import Fusion

TRACKS, HIDDEN = 60, 6
DIMS = {"audio": 3, "lyrics": 5, "cover.art": 4}
EVERY = torch.arange(TRACKS + 1)
FITTED = (np.arange(TRACKS + 1) % 4 > 0) & (np.arange(TRACKS + 1) > 0)
PREFIXES = ("content_", "scale_", "present_")
TOLERANCE = 1e-5


def check_join(join: Join) -> None:
    """Test a join against its contract. Raises `AssertionError` at the first violated rule."""
    check_join_declaration(join)
    check_recipe(join, "join")
    check_join_output(join)
    check_join_seed(join)
    check_join_independence(join)
    check_join_absence(join)
    check_join_learns(join)
    check_saved(join.type, lambda seed, content: _table(content, seed=seed, join=join))


def check_missing(policy: Missing) -> None:
    """Test a missing-value policy against its contract. Raises `AssertionError` at the first violated rule."""
    check_missing_declaration(policy)
    check_recipe(policy, "missing")
    check_missing_rows(policy)
    check_missing_inputs(policy)
    check_missing_split(policy)
    check_missing_slices(policy)
    check_missing_extremes(policy)
    if policy.learned:
        check_missing_learns(policy)
    check_saved(policy.type, lambda seed, content: _table(content, seed=seed, join="sum", missing=policy))


def check_join_declaration(join: Join) -> None:
    """Check that the declarations of the class are complete and consistent."""
    assert isinstance(join, Join), f"{join!r} must be an instance of a subclass of segue.plugin.Join"
    name = join.type
    for flag in ("keeps_apart", "needs_presence", "leaves_out", "streams"):
        assert isinstance(getattr(join, flag, None), bool), (
            f"{name}: {flag} must be True or False: declare `{flag}: ClassVar[bool]`"
        )
    assert join.shares is None or isinstance(join.shares, Shares), (
        f"{name}: shares={join.shares!r} must be None or a segue.plugin.Shares"
    )
    assert join.needs_presence or not join.leaves_out, f"{name}: leaves_out=True requires needs_presence=True"
    assert join.keeps_apart or not join.streams, f"{name}: streams=True requires keeps_apart=True"
    taken = (join.key != Join.key and hasattr(_table(_content(), join="concat"), join.key)) or join.key.startswith(
        PREFIXES
    )
    assert join.key.isidentifier() and not taken, (
        f"{name}: key={join.key!r} is reserved for the item table: use a different key"
    )


def check_recipe(part: Join | Missing, key: str) -> None:
    """Check that a recipe keeps the part and the parameters when it is written and read."""
    values = Fusion.model_validate({key: part}).model_dump(mode="json")
    try:
        again: Join | Missing | str = getattr(Fusion.model_validate(values), key)
    except (SegueError, ValidationError) as error:
        again = str(error)
    found = (
        isinstance(again, Join | Missing)
        and type(again) is type(part)
        and again.model_dump(exclude={"type"}) == part.model_dump(exclude={"type"})
    )
    cure = "declare every parameter as a field, and the class at the top level of a module"
    assert found, f"{part.type}: a recipe reads {again!r} and must read {part!r}: {cure}"


def check_join_output(join: Join) -> None:
    """Check the output shapes for one and several modalities and tracks, under all permitted settings."""
    settings: list[dict[str, object]] = [{}, {"regularise": False}]
    if not join.keeps_apart:
        settings += [{"normalise": "after"}, {"reduce_joint": "linear:2"}]
    one = {"lyrics": _content()["lyrics"]}
    for content in (_content(), one):
        for setting in settings:
            table = _table(content, seed=0, join=join, **setting)
            for items in (EVERY, EVERY[5:6]):
                _check_vectors(join.type, table(items), (len(items), HIDDEN), "forward")
                if join.streams:
                    _check_vectors(join.type, table.streams(items), (len(items), len(content) * HIDDEN), "streams")
                if join.shares is not None:
                    _check_shares(join.type, table, items)


def check_join_seed(join: Join) -> None:
    """Check that modules with equal seeds are equal and that evaluation draws no random numbers."""
    first, second = (_table(_content(), join=join) for _ in range(2))
    same = all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    assert same, f"{join.type}: equal seeds must give equal modules: draw only from torch's global generator"
    assert torch.equal(first(EVERY), first(EVERY)), (
        f"{join.type}: calls in evaluation mode must be repeatable: draw random numbers only in training"
    )


def check_join_independence(join: Join) -> None:
    """Check that a track's vector does not depend on other tracks."""
    table = _table(_content(), join=join)
    whole, name = table(EVERY), join.type
    alone = torch.cat([table(EVERY[row : row + 1]) for row in range(len(EVERY))])
    _close(alone, whole, f"{name}: a track's vector must not depend on the batch: normalise each track separately")
    _close(table(EVERY.flip(0)).flip(0), whole, f"{name}: vectors must not depend on the order of the tracks")
    content = _content()
    row = int(np.flatnonzero(content["audio"].present)[3])
    content["audio"] = _without(content["audio"], np.array([row]))
    rest = row != EVERY
    changed = _table(content, join=join)(EVERY)[rest]
    _close(changed, whole[rest], f"{name}: a missing modality must not change the vectors of other tracks")


def check_join_absence(join: Join) -> None:
    """Check that a track without modalities gives finite values and that ignored modalities have no influence."""
    table, name = _table(_content(), join=join), join.type
    nothing = torch.from_numpy(~np.stack([modality.present for modality in _content().values()]).any(axis=0))
    assert torch.isfinite(table(EVERY[nothing])).all(), (
        f"{name}: a track without modalities must have a finite vector: handle an empty softmax"
    )
    table(EVERY[nothing]).sum().backward()
    grads = [parameter.grad for parameter in table.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads), (
        f"{name}: a track without modalities must give finite gradients"
    )
    if join.leaves_out:
        before = table(EVERY)
        for key, modality in _content().items():
            table.content(key)[torch.from_numpy(~modality.present)] = 3.0
        _close(table(EVERY), before, f"{name}: leaves_out=True requires vectors independent of missing modalities")


def check_join_learns(join: Join) -> None:
    """Check that every parameter changes in training, also under late fusion and modality dropout."""
    calls: list[Callable[[ItemTable], torch.Tensor]] = [lambda table: table(EVERY)]
    if join.streams:
        calls.append(lambda table: table.streams(EVERY))
    for call in calls:
        table = _table(_content(), join=join, modality_dropout=0.2).train()
        _check_moves(join.type, table, lambda table=table, call=call: call(table))  # type: ignore[misc]


def check_saved(name: str, make: Callable[[int, Mapping[str, Modality]], ItemTable]) -> None:
    """Check that a blank table has the keys of a trained table and returns the same vectors after loading."""
    table = make(0, _content())
    layout = {key: int(table.content(key).shape[1]) for key in table.names}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        blank = ItemTable.blank(
            layout, table.fusion, hidden_size=HIDDEN, train="frozen", played=FITTED, dropout=0.0
        ).eval()
    keys, found = set(table.state_dict()), set(blank.state_dict())
    assert keys == found, (
        f"{name}: tensors {sorted(keys ^ found)} must be in a blank table too: create them from dimensions only"
    )
    blank.load_state_dict(table.state_dict())
    same = torch.equal(blank(EVERY), table(EVERY))
    assert same, (
        f"{name}: vectors must be identical after loading: register tensors as parameters, buffers or submodules"
    )


def check_missing_declaration(policy: Missing) -> None:
    """Check that the declarations of the class are complete."""
    assert isinstance(policy, Missing), f"{policy!r} must be an instance of a subclass of segue.plugin.Missing"
    assert policy.start in ("mean", "zero"), f"{policy.type}: start={policy.start!r} must be 'mean' or 'zero'"
    for flag in ("fills", "learned"):
        assert isinstance(getattr(policy, flag), bool), (
            f"{policy.type}: {flag} must be True or False: declare `{flag}: ClassVar[bool]`"
        )


def check_missing_rows(policy: Missing) -> None:
    """Check that filled rows are finite and of the right shape, and that present rows and padding are unchanged."""
    content, name = _content(), policy.type
    for normalise in ("before", "none"):
        held, whole = (_rows(content, each, normalise) for each in (policy, None))
        for modality, each in content.items():
            rows = held[modality]
            assert rows.dtype == np.float32 and rows.shape == whole[modality].shape, (
                f"{name}: rows are {rows.dtype} {rows.shape} and must be float32 {whole[modality].shape}"
            )
            assert np.isfinite(rows).all(), f"{name}: filled rows must be finite: handle tracks without modalities"
            assert not rows[0].any(), f"{name}: row 0 is padding and must be zero"
            assert np.array_equal(rows[each.present], whole[modality][each.present]), (
                f"{name}: fill must not change rows of present tracks"
            )
            absent = rows[1:][~each.present[1:]]
            neutral = policy.fills or np.allclose(absent, absent[:1], atol=TOLERANCE)
            assert neutral, f"{name}: absent rows must be equal for all tracks unless fills=True: set `fills`"


def check_missing_inputs(policy: Missing) -> None:
    """Check that no argument is changed in place and that a second fit returns identical bytes."""
    content, name = _content(), policy.type
    blocks, present, fitted = (
        list(_rows(content, None).values()),
        np.stack([each.present for each in content.values()]),
        FITTED.copy(),
    )
    arguments = (*blocks, present, fitted)
    before = [array.copy() for array in arguments]
    fill = policy.fit(blocks, present, fitted)
    if fill is not None:
        absent = ~present[0]
        fill(0, [rows[absent] for rows in blocks], present[:, absent])
    same = all(np.array_equal(*pair) for pair in zip(arguments, before, strict=True))
    assert same, f"{name}: fit must not change blocks, present or fitted in place: copy them"
    first, second = (_rows(content, policy) for _ in range(2))
    assert all(np.array_equal(first[key], second[key]) for key in first), (
        f"{name}: repeated fits must be identical: draw from a generator with a fixed seed"
    )


def check_missing_split(policy: Missing) -> None:
    """Check that filled values are learned from training tracks only."""
    content, noise = _content(), np.random.default_rng(5)
    others = {
        name: replace(
            each,
            matrix=np.where(FITTED[:, None], each.matrix, noise.normal(9, 4, each.matrix.shape)).astype(np.float32),
        )
        for name, each in content.items()
    }
    before, after = _rows(content, policy, "none"), _rows(others, policy, "none")
    for name, each in content.items():
        rows = FITTED & ~each.present
        _close_rows(
            after[name][rows], before[name][rows], f"{policy.type}: fit must learn only from tracks in `fitted`"
        )


def check_missing_slices(policy: Missing) -> None:
    """Check that rows do not depend on the slice in which they are computed."""
    content = _content()
    whole = _rows(content, policy)
    for name, rows in prepared_blocks(content, Fusion.model_validate({"missing": policy}), FITTED).items():
        pieces = np.concatenate([rows[start : start + 7] for start in range(0, TRACKS + 1, 7)])
        _close_rows(pieces, whole[name], f"{policy.type}: rows must not depend on other tracks of the slice")


def check_missing_extremes(policy: Missing) -> None:
    """Check a single modality, a modality without tracks, and a modality without training tracks."""
    content = _content()
    absent_everywhere = _without(content["lyrics"], EVERY.numpy())
    untrained = _without(content["lyrics"], np.flatnonzero(FITTED))
    for modalities in (
        {"audio": content["audio"]},
        {**content, "lyrics": absent_everywhere},
        {**content, "lyrics": untrained},
    ):
        rows = _rows(modalities, policy).values()
        assert all(np.isfinite(matrix).all() for matrix in rows), (
            f"{policy.type}: rows must be finite if no training track has the modality"
        )


def check_missing_learns(policy: Missing) -> None:
    """Check that the learned vector replaces absent rows, is trained, and leaves other rows unchanged."""
    content, name = _content(), policy.type
    table = _table(content, missing=policy, join="sum")
    _check_moves(name, table, lambda: table(EVERY))
    for modality, each in content.items():
        rows = table.modality(modality, EVERY).detach()
        absent = rows[1:][torch.from_numpy(~each.present[1:])]
        assert not rows[0].any() and absent.any(), (
            f"{name}: the learned vector must replace absent rows but not the padding row"
        )


def _content() -> dict[str, Modality]:
    """Return correlated modalities. Some tracks have no modality and some have all."""
    generator = np.random.default_rng(3)
    latent = generator.normal(0, 1, (TRACKS + 1, 4))
    made = {}
    for name, dim in DIMS.items():
        present = generator.random(TRACKS + 1) < 0.6
        present[:3], present[3:9] = False, True
        matrix = latent @ generator.normal(0, 1, (4, dim)) + generator.normal(0, 0.3, (TRACKS + 1, dim)) + 0.5
        made[name] = Modality(name, (matrix * present[:, None]).astype(np.float32), present)
    return made


def _without(modality: Modality, rows: np.ndarray) -> Modality:
    present = modality.present.copy()
    present[rows] = False
    return replace(modality, present=present, matrix=modality.matrix * present[:, None])


def _table(content: Mapping[str, Modality], *, seed: int = 0, **fusion: object) -> ItemTable:
    """Return an item table in evaluation mode, without changing torch's global generator."""
    settings = Fusion.model_validate({"normalise": "none", "missing": "zero", **fusion})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ItemTable(content, settings, hidden_size=HIDDEN, train="frozen", played=FITTED, dropout=0.0).eval()


def _rows(content: Mapping[str, Modality], policy: Missing | None, normalise: str = "before") -> dict[str, np.ndarray]:
    """Return the rows of the table. Without a policy, missing modalities are zero."""
    fusion = Fusion.model_validate({"normalise": normalise, "missing": "zero" if policy is None else policy})
    return {name: rows[0 : TRACKS + 1] for name, rows in prepared_blocks(content, fusion, FITTED).items()}


def _check_vectors(name: str, found: torch.Tensor, shape: tuple[int, int], what: str) -> None:
    assert tuple(found.shape) == shape, f"{name}: {what} returned shape {tuple(found.shape)} and must return {shape}"
    assert found.dtype == torch.float32, f"{name}: {what} returned {found.dtype} and must return float32"
    assert torch.isfinite(found).all(), f"{name}: {what} must return finite numbers: handle tracks without modalities"


def _check_shares(name: str, table: ItemTable, items: torch.Tensor) -> None:
    found = table.network.shares(table.inputs(items)).detach()
    _check_vectors(name, found, (len(items), len(table.names)), "shares")
    fair = bool((found >= -TOLERANCE).all()) and bool((found.sum(1) <= 1 + TOLERANCE).all())
    assert fair, f"{name}: shares must be >= 0 and sum to at most 1 per track"


def _check_moves(name: str, table: ItemTable, call: Callable[[], torch.Tensor]) -> None:
    """Check that a few training steps towards random vectors change every parameter."""
    start = {key: value.detach().clone() for key, value in table.named_parameters()}
    optimizer = torch.optim.Adam(table.parameters(), lr=0.01)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        target = torch.randn(call().shape)
        for _ in range(3):
            optimizer.zero_grad()
            torch.autograd.backward((call() - target).pow(2).mean())
            optimizer.step()
    still = [key for key, value in table.named_parameters() if torch.equal(value, start[key])]
    assert not still, f"{name}: no gradient reaches {', '.join(still)}: use every parameter, and remove detach()"
    broken = [key for key, value in table.named_parameters() if not torch.isfinite(value).all()]
    assert not broken, f"{name}: parameters {', '.join(broken)} must stay finite in training"


def _close(found: torch.Tensor, expected: torch.Tensor, message: str) -> None:
    _close_rows(found.detach().numpy(), expected.detach().numpy(), message)


def _close_rows(found: np.ndarray, expected: np.ndarray, message: str) -> None:
    worst = float(np.abs(found - expected).max(initial=0.0))
    assert worst <= TOLERANCE, f"{message} (difference {worst:.2e}, allowed {TOLERANCE:.0e})"
