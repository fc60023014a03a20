"""Conformance suites of joins and missing-value policies: one call from a plug-in's tests.

    from segue.plugin import check_join, check_missing

    check_join(MyJoin(heads=2))
    check_missing(MyPolicy())

Plain asserts. Each message names the broken promise of `toolkit.contracts.join` or
`toolkit.contracts.missing_policy` and the usual cause. Both are tested inside the item table, on a small made-up
catalogue.
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
    """Test a join against its contract. Raises `AssertionError` at the first broken promise."""
    check_join_declaration(join)
    check_recipe(join, "join")
    check_join_output(join)
    check_join_seed(join)
    check_join_independence(join)
    check_join_absence(join)
    check_join_learns(join)
    check_saved(join.type, lambda seed, content: _table(content, seed=seed, join=join))


def check_missing(policy: Missing) -> None:
    """Test a missing-value policy against its contract. Raises `AssertionError` at the first broken promise."""
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
    """The declarations of the class are complete and consistent."""
    assert isinstance(join, Join), f"{join!r} must be an object of a subclass of segue.plugin.Join"
    name = join.type
    for flag in ("keeps_apart", "needs_presence", "leaves_out", "streams"):
        assert isinstance(getattr(join, flag, None), bool), f"{name}: declare `{flag}: ClassVar[bool]`"
    assert join.shares is None or isinstance(join.shares, Shares), (
        f"{name}: shares must be None or a Shares, not {join.shares!r}"
    )
    assert join.needs_presence or not join.leaves_out, (
        f"{name}: leaves_out needs needs_presence: nothing else says what is missing"
    )
    assert join.keeps_apart or not join.streams, (
        f"{name}: streams needs keeps_apart: one vector a modality, in the model's space"
    )
    taken = (join.key != Join.key and hasattr(_table(_content(), join="concat"), join.key)) or join.key.startswith(
        PREFIXES
    )
    assert join.key.isidentifier() and not taken, (
        f"{name}: key={join.key!r} is a name of the item table's own: choose another"
    )


def check_recipe(part: Join | Missing, key: str) -> None:
    """A recipe that was written and read again has the part, with its parameters."""
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
    cure = "is every parameter a field, and the class at the top level of its module?"
    assert found, f"{part.type}: written into a recipe it reads back as {again!r}, not {part!r}; {cure}"


def check_join_output(join: Join) -> None:
    """Shapes of the output: for one and several modalities and tracks, and under all settings that are allowed."""
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
                    _check_vectors(
                        join.type, table.streams(items), (len(items), len(content) * HIDDEN), "streams, side by side,"
                    )
                if join.shares is not None:
                    _check_shares(join.type, table, items)


def check_join_seed(join: Join) -> None:
    """Two modules of one seed are the same, and no call in evaluation draws random numbers."""
    first, second = (_table(_content(), join=join) for _ in range(2))
    same = all(torch.equal(value, second.state_dict()[name]) for name, value in first.state_dict().items())
    assert same, f"{join.type}: two modules of one seed start differently; draw from torch's global generator alone"
    assert torch.equal(first(EVERY), first(EVERY)), (
        f"{join.type}: two calls in evaluation differ; draw random numbers only in training"
    )


def check_join_independence(join: Join) -> None:
    """A track's vector does not depend on other tracks."""
    table = _table(_content(), join=join)
    whole, name = table(EVERY), join.type
    alone = torch.cat([table(EVERY[row : row + 1]) for row in range(len(EVERY))])
    _close(alone, whole, f"{name}: a track's vector changes with the batch; is something normalised over it?")
    _close(table(EVERY.flip(0)).flip(0), whole, f"{name}: vectors change with the order of the tracks")
    content = _content()
    row = int(np.flatnonzero(content["audio"].present)[3])
    content["audio"] = _without(content["audio"], np.array([row]))
    rest = row != EVERY
    changed = _table(content, join=join)(EVERY)[rest]
    _close(changed, whole[rest], f"{name}: the modality that one track is without changes the vectors of others")


def check_join_absence(join: Join) -> None:
    """A track without any modality gives no NaN, and a modality that is left out has no influence."""
    table, name = _table(_content(), join=join), join.type
    nothing = torch.from_numpy(~np.stack([modality.present for modality in _content().values()]).any(axis=0))
    assert torch.isfinite(table(EVERY[nothing])).all(), (
        f"{name}: a track without any modality has NaN or infinity; mind empty softmaxes"
    )
    table(EVERY[nothing]).sum().backward()
    grads = [parameter.grad for parameter in table.parameters() if parameter.grad is not None]
    assert all(torch.isfinite(grad).all() for grad in grads), (
        f"{name}: a track without any modality gives gradients of NaN"
    )
    if join.leaves_out:
        before = table(EVERY)
        for key, modality in _content().items():
            table.content(key)[torch.from_numpy(~modality.present)] = 3.0
        _close(table(EVERY), before, f"{name} declares leaves_out, and rows of missing modalities change its vectors")


def check_join_learns(join: Join) -> None:
    """Every parameter changes in training, also under late fusion and with modality dropout."""
    calls: list[Callable[[ItemTable], torch.Tensor]] = [lambda table: table(EVERY)]
    if join.streams:
        calls.append(lambda table: table.streams(EVERY))
    for call in calls:
        table = _table(_content(), join=join, modality_dropout=0.2).train()
        _check_moves(join.type, table, lambda table=table, call=call: call(table))  # type: ignore[misc]


def check_saved(name: str, make: Callable[[int, Mapping[str, Modality]], ItemTable]) -> None:
    """A blank table has the keys of a trained one, and the same vectors after loading."""
    table = make(0, _content())
    layout = {key: int(table.content(key).shape[1]) for key in table.names}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        blank = ItemTable.blank(
            layout, table.fusion, hidden_size=HIDDEN, train="frozen", played=FITTED, dropout=0.0
        ).eval()
    keys, found = set(table.state_dict()), set(blank.state_dict())
    assert keys == found, (
        f"{name}: a blank table has other tensors, {sorted(keys ^ found)}; make them from the dimensions alone"
    )
    blank.load_state_dict(table.state_dict())
    same = torch.equal(blank(EVERY), table(EVERY))
    assert same, (
        f"{name}: vectors differ after save and load; register every tensor as a parameter, a buffer or a submodule"
    )


def check_missing_declaration(policy: Missing) -> None:
    """The declarations of the class are complete."""
    assert isinstance(policy, Missing), f"{policy!r} must be an object of a subclass of segue.plugin.Missing"
    assert policy.start in ("mean", "zero"), f"{policy.type}: start={policy.start!r} must be 'mean' or 'zero'"
    for flag in ("fills", "learned"):
        assert isinstance(getattr(policy, flag), bool), f"{policy.type}: declare `{flag}: ClassVar[bool]`"


def check_missing_rows(policy: Missing) -> None:
    """Filled rows are finite numbers of the right shape; present rows and padding are as they were."""
    content, name = _content(), policy.type
    for normalise in ("before", "none"):
        held, whole = (_rows(content, each, normalise) for each in (policy, None))
        for modality, each in content.items():
            rows = held[modality]
            assert rows.dtype == np.float32 and rows.shape == whole[modality].shape, (
                f"{name}: {rows.dtype} {rows.shape} are not its rows"
            )
            assert np.isfinite(rows).all(), (
                f"{name}: filled rows hold NaN or infinity; mind tracks without any modality"
            )
            assert not rows[0].any(), f"{name}: row 0 is padding and must stay zero"
            assert np.array_equal(rows[each.present], whole[modality][each.present]), (
                f"{name}: fill changed rows of tracks that have one"
            )
            absent = rows[1:][~each.present[1:]]
            neutral = policy.fills or np.allclose(absent, absent[:1], atol=TOLERANCE)
            assert neutral, f"{name}: absent rows differ from track to track: declare `fills: ClassVar[bool] = True`"


def check_missing_inputs(policy: Missing) -> None:
    """No argument is changed in place, and a second fit gives the same bytes."""
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
    assert same, f"{name}: blocks, present or fitted was changed in place; copy what you change"
    first, second = (_rows(content, policy) for _ in range(2))
    assert all(np.array_equal(first[key], second[key]) for key in first), (
        f"{name}: two fits differ; draw from a generator of a fixed seed"
    )


def check_missing_split(policy: Missing) -> None:
    """Filled values are learned from training tracks alone."""
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
        _close_rows(after[name][rows], before[name][rows], f"{policy.type}: learned from tracks outside `fitted`")


def check_missing_slices(policy: Missing) -> None:
    """Rows do not depend on the slice in which they are computed."""
    content = _content()
    whole = _rows(content, policy)
    for name, rows in prepared_blocks(content, Fusion.model_validate({"missing": policy}), FITTED).items():
        pieces = np.concatenate([rows[start : start + 7] for start in range(0, TRACKS + 1, 7)])
        _close_rows(pieces, whole[name], f"{policy.type}: rows change with the other tracks of their slice")


def check_missing_extremes(policy: Missing) -> None:
    """One modality alone, a modality that no track has, and one that no training track has."""
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
            f"{policy.type}: NaN where no training track has a modality"
        )


def check_missing_learns(policy: Missing) -> None:
    """The learned vector replaces absent rows, changes in training, and leaves present rows and padding unchanged."""
    content, name = _content(), policy.type
    table = _table(content, missing=policy, join="sum")
    _check_moves(name, table, lambda: table(EVERY))
    for modality, each in content.items():
        rows = table.modality(modality, EVERY).detach()
        absent = rows[1:][torch.from_numpy(~each.present[1:])]
        assert not rows[0].any() and absent.any(), (
            f"{name}: the learned vector must replace absent rows, and not padding"
        )


def _content() -> dict[str, Modality]:
    """Related modalities; some tracks have none, some all."""
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
    """A table in evaluation; torch's generator is left as it was."""
    settings = Fusion.model_validate({"normalise": "none", "missing": "zero", **fusion})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ItemTable(content, settings, hidden_size=HIDDEN, train="frozen", played=FITTED, dropout=0.0).eval()


def _rows(content: Mapping[str, Modality], policy: Missing | None, normalise: str = "before") -> dict[str, np.ndarray]:
    """Rows of the table; without a policy, zeros for missing modalities."""
    fusion = Fusion.model_validate({"normalise": normalise, "missing": "zero" if policy is None else policy})
    return {name: rows[0 : TRACKS + 1] for name, rows in prepared_blocks(content, fusion, FITTED).items()}


def _check_vectors(name: str, found: torch.Tensor, shape: tuple[int, int], what: str) -> None:
    assert tuple(found.shape) == shape, f"{name}: {what} gave shape {tuple(found.shape)}, not {shape}"
    assert found.dtype == torch.float32, f"{name}: {what} gave {found.dtype}, not float32"
    assert torch.isfinite(found).all(), f"{name}: {what} gave NaN or infinity; mind tracks without any modality"


def _check_shares(name: str, table: ItemTable, items: torch.Tensor) -> None:
    found = table.network.shares(table.inputs(items)).detach()
    _check_vectors(name, found, (len(items), len(table.names)), "shares")
    fair = bool((found >= -TOLERANCE).all()) and bool((found.sum(1) <= 1 + TOLERANCE).all())
    assert fair, f"{name}: shares must be at least 0 and add up to at most 1 a track"


def _check_moves(name: str, table: ItemTable, call: Callable[[], torch.Tensor]) -> None:
    """A few steps towards random vectors change every parameter."""
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
    assert not still, f"{name}: no gradient reaches {', '.join(still)}; is it used, and not detached?"
    broken = [key for key, value in table.named_parameters() if not torch.isfinite(value).all()]
    assert not broken, f"{name}: training gives NaN in {', '.join(broken)}"


def _close(found: torch.Tensor, expected: torch.Tensor, message: str) -> None:
    _close_rows(found.detach().numpy(), expected.detach().numpy(), message)


def _close_rows(found: np.ndarray, expected: np.ndarray, message: str) -> None:
    worst = float(np.abs(found - expected).max(initial=0.0))
    assert worst <= TOLERANCE, f"{message}: largest difference {worst:.2e}, allowed {TOLERANCE:.0e}"
