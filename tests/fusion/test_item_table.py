"""Tests of the item table, its projections and its trainable parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from toolkit.errors import InputError
from toolkit.fusion.item_table import INITIAL_SCALE, ItemTable
from toolkit.fusion.prepare import prepare
from toolkit.modality import Modality
from toolkit.recipe import Fusion

V = 9
PLAYED = np.array([False] + [True] * 7 + [False] * 2)
EVERY = torch.arange(V + 1)


def modality(name: str, dim: int, seed: int) -> Modality:
    generator = np.random.default_rng(seed)
    present = np.array([False, *([True] * 5), False, True, True, False])
    return Modality(name, generator.normal(1, 1, (V + 1, dim)).astype(np.float32) * present[:, None], present)


MODALITIES = {"audio": modality("audio", 3, 0), "lyrics": modality("lyrics", 5, 1)}


def make(modalities: dict[str, Modality] | None = None, *, train: Any = "frozen", **fusion: Any) -> Any:
    torch.manual_seed(0)
    return ItemTable(modalities or MODALITIES, Fusion(**fusion), hidden_size=4, train=train, played=PLAYED, dropout=0.0)


def steps(table: Any, count: int = 5) -> None:
    """Train for some steps on all rows, with weight decay."""
    optimizer = torch.optim.AdamW(table.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(count):
        optimizer.zero_grad()
        (table(EVERY) * torch.arange(4.0)).pow(2).sum().backward()
        optimizer.step()


def test_concat_join_is_one_projection_of_concatenated_vectors() -> None:
    table = make()
    joined = np.concatenate(
        [
            prepare(each, missing="mean", reduce="none", normalise="before", fitted=PLAYED)
            for each in MODALITIES.values()
        ],
        axis=1,
    )
    projection = table.projections["joined"]
    hidden = torch.from_numpy(joined) @ projection.weight.T + projection.bias
    wanted = (
        (hidden - hidden.mean(1, keepdim=True))
        / torch.sqrt(hidden.var(1, keepdim=True, unbiased=False) + 1e-5)
        * INITIAL_SCALE
    )
    torch.testing.assert_close(table(EVERY), wanted, atol=1e-6, rtol=1e-5)


def test_sum_join_adds_a_normalised_projection_per_modality() -> None:
    both = make(join="sum")
    alone = torch.zeros(V + 1, 4)
    for name in MODALITIES:
        one = make({name: MODALITIES[name]}, join="sum")
        own = {key: value for key, value in both.state_dict().items() if name in key or key == "played"}
        one.load_state_dict(own)
        alone = alone + one(EVERY)
    torch.testing.assert_close(both(EVERY), alone)


@pytest.mark.parametrize("regularise", [True, False])
def test_streams_sum_to_the_item_table(regularise: bool) -> None:
    table = make(join="sum", reduce="linear:2", regularise=regularise)
    streams = table.streams(EVERY).view(V + 1, 2, 4)
    torch.testing.assert_close(streams.sum(1), table(EVERY))
    for place, name in enumerate(MODALITIES):
        key = f"of_{name}"
        wanted = table.norms[key](table.projections[key](table.modality(name, EVERY)))
        torch.testing.assert_close(streams[:, place], wanted)


@pytest.mark.parametrize("join", ["concat", "sum"])
def test_item_table_without_regularisation_equals_projections(join: str) -> None:
    torch.manual_seed(0)
    table = ItemTable(
        MODALITIES,
        Fusion.model_validate({"join": join, "regularise": False}),
        hidden_size=4,
        train="frozen",
        played=PLAYED,
        dropout=0.5,
    )
    parts = [table.content(name) for name in MODALITIES]
    if join == "concat":
        wanted = table.projections["joined"](torch.cat(parts, dim=1))
    else:
        wanted = sum(table.projections[f"of_{name}"](part) for name, part in zip(MODALITIES, parts, strict=True))
    assert table.training
    torch.testing.assert_close(table(EVERY), wanted)  # no LayerNorm, nothing dropped
    assert not any("norm" in name for name, _ in table.named_parameters())


def test_columns_keep_the_order_of_modalities() -> None:
    swapped = make({name: MODALITIES[name] for name in ("lyrics", "audio")})
    given = make()
    assert (given.names, swapped.names) == (["audio", "lyrics"], ["lyrics", "audio"])
    with torch.no_grad():
        weight = given.projections["joined"].weight
        swapped.projections["joined"].weight.copy_(torch.cat([weight[:, 3:], weight[:, :3]], dim=1))
        swapped.projections["joined"].bias.copy_(given.projections["joined"].bias)
    torch.testing.assert_close(swapped(EVERY), given(EVERY))


def test_normalise_after_gives_joined_rows_of_unit_norm() -> None:
    table = make(normalise="after", missing="zero")
    raw = np.concatenate([np.where(each.present[:, None], each.matrix, 0) for each in MODALITIES.values()], axis=1)
    unit = raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12)
    wanted = table.norms["joined"](table.projections["joined"](torch.from_numpy(unit)))
    torch.testing.assert_close(table(EVERY), wanted, atol=1e-6, rtol=1e-5)


def test_learned_reduction_is_applied_per_modality() -> None:
    table = make(reduce={"lyrics": "linear:2"}, regularise=False)
    assert list(table.reductions) == ["of_lyrics"]
    assert tuple(table.projections["joined"].weight.shape) == (4, 3 + 2)
    (layer,) = table.reductions["of_lyrics"]
    assert tuple(layer.weight.shape) == (2, 5)
    wanted = table.content("lyrics") @ layer.weight.T + layer.bias
    torch.testing.assert_close(table.modality("lyrics", EVERY), wanted)
    assert torch.equal(table.modality("audio", EVERY), table.content("audio"))


def test_regularised_reduction_has_layer_norm_and_dropout() -> None:
    table = make(reduce="mlp:6")
    first, _, second, norm, _ = table.reductions["of_audio"]
    hidden = (
        torch.nn.functional.gelu(table.content("audio") @ first.weight.T + first.bias) @ second.weight.T + second.bias
    )
    wanted = (hidden - hidden.mean(1, keepdim=True)) / torch.sqrt(
        hidden.var(1, keepdim=True, unbiased=False) + norm.eps
    )
    torch.testing.assert_close(table.modality("audio", EVERY), wanted)
    dropped = ItemTable(
        MODALITIES, Fusion(reduce="linear:40"), hidden_size=4, train="frozen", played=PLAYED, dropout=0.5
    )
    zeros = (dropped.modality("audio", EVERY.repeat(50)) == 0).float().mean()
    assert float(zeros) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("reduce", "layers"), [("linear:2", 1), ("mlp:2", 3)])
def test_joint_reduction_is_applied_to_the_concatenated_vector(reduce: str, layers: int) -> None:
    table = make(reduce_joint=reduce, normalise="after", regularise=False)
    assert len(table.reductions["joined"]) == layers
    together = torch.nn.functional.normalize(torch.cat([table.content(name) for name in MODALITIES], dim=1), dim=1)
    wanted = table.projections["joined"](table.reductions["joined"](together))
    torch.testing.assert_close(table(EVERY), wanted)


def test_joint_pca_axes_equal_scikit_learn_on_training_rows() -> None:
    """Compare with scikit-learn up to the sign of an axis."""
    table = make(reduce_joint="pca:3")
    assert table.names == ["audio+lyrics"] and table.content("audio+lyrics").shape == (V + 1, 3)
    together = torch.cat([make().content(name) for name in MODALITIES], dim=1).numpy()
    wanted = PCA(3, svd_solver="full").fit(together[PLAYED]).transform(together)
    found = table.content("audio+lyrics").numpy()
    signs = np.sign((found * wanted)[1:].sum(axis=0))
    assert found[1:] * signs == pytest.approx(wanted[1:], abs=1e-5)
    with pytest.raises(InputError, match="pca:8 must have dim <= 7"):
        make(reduce_joint="pca:99")


def test_pca_reduces_vectors_before_they_are_stored() -> None:
    table = make(reduce="pca:2")
    assert [tuple(table.content(name).shape) for name in table.names] == [(V + 1, 2)] * 2
    assert len(table.reductions) == 0


def test_padding_row_is_zero() -> None:
    settings: list[dict[str, Any]] = [{}, {"missing": "zero"}, {"normalise": "none"}, {"reduce": "pca:2"}]
    for fusion in settings:
        table = make(**fusion)
        assert not any(table.content(name)[0].any() for name in table.names)


def test_untrained_finetune_table_equals_the_frozen_table() -> None:
    assert torch.equal(make(train="finetune")(EVERY), make()(EVERY))


def test_fine_tuning_changes_only_played_tracks() -> None:
    table = make(train="finetune")
    before = {name: table.content(name).clone() for name in table.names}
    steps(table)
    played = torch.from_numpy(PLAYED)
    for name in table.names:
        delta = table.deltas[f"of_{name}"].weight
        assert not delta[~played].any()
        assert (delta[played].abs().sum(1) > 0).all()
        assert torch.equal(table.content(name), before[name])
        assert torch.equal(table.modality(name, EVERY)[~played], before[name][~played])


def test_frozen_table_trains_only_projections() -> None:
    table = make()
    before = {name: value.clone() for name, value in table.state_dict().items()}
    steps(table)
    moved = {name for name, value in table.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"projections.joined.weight", "projections.joined.bias", "norms.joined.weight", "norms.joined.bias"}


def test_check_loaded_raises_if_vectors_were_overwritten() -> None:
    """Overwrite loaded vectors, as the weight initialisation of a model would."""
    table = make()
    table.check_loaded()
    table.content("audio").zero_()
    with pytest.raises(AssertionError, match="no longer holds the vectors of audio"):
        table.check_loaded()


def test_modality_dropout_hides_whole_modalities_only_in_training() -> None:
    table = make(modality_dropout=0.5)
    many = torch.full((4000,), 3)
    vectors = table.modality("audio", many)
    gone = ~vectors.any(dim=1)
    assert float(gone.float().mean()) == pytest.approx(0.5, abs=0.05)
    assert torch.equal(vectors[~gone], table.content("audio")[many][~gone])
    table.eval()
    assert torch.equal(table.modality("audio", many), table.content("audio")[many])


@pytest.mark.parametrize("join", ["concat", "sum"])
def test_modality_names_can_contain_dots_or_torch_method_names(join: str) -> None:
    """Names with dots and names of torch's own methods."""
    names = ("audio.v2", "values", "type", "joined", "training")
    modalities = {name: modality(name, 3, seed) for seed, name in enumerate(names)}
    table = make(modalities, train="finetune", reduce="linear:2", join=join)
    assert table(EVERY).shape == (V + 1, 4)
    assert np.array_equal(
        table.content("audio.v2"),
        prepare(modalities["audio.v2"], missing="mean", reduce="none", normalise="before", fitted=PLAYED),
    )


def test_item_table_without_modalities_raises() -> None:
    with pytest.raises(InputError, match="at least one modality"):
        ItemTable({}, Fusion(), hidden_size=4, train="frozen", played=PLAYED, dropout=0.0)


@pytest.mark.parametrize(
    ("fusion", "keys"),
    [
        (
            {"join": "concat", "reduce_joint": "linear:3"},
            {"reductions.joined.0", "reductions.joined.1", "projections.joined", "norms.joined"},
        ),
        ({"join": "sum"}, {"projections.of_audio", "projections.of_lyrics", "norms.of_audio", "norms.of_lyrics"}),
        (
            {"join": "gated"},
            {"projections.of_audio", "projections.of_lyrics", "norms.of_audio", "norms.of_lyrics", "gates"},
        ),
        ({"missing": "mask_token"}, {"masks", "projections.joined", "norms.joined"}),
    ],
)
def test_parameter_names_equal_those_in_saved_models(fusion: dict[str, Any], keys: set[str]) -> None:
    """Fix the names, because saved models of earlier versions are loaded by name."""
    table = make(train="frozen", **fusion)
    names = {name for name, _ in table.named_parameters()}
    plain = {f"{key}.{part}" for key in keys - {"gates", "masks"} for part in ("weight", "bias")}
    special = {
        "gates": {"gates.weights.0", "gates.weights.1", "gates.bias"},
        "masks": {"masks.of_audio", "masks.of_lyrics"},
    }
    assert names == plain.union(*(special[key] for key in keys & set(special)))
    presence = {"present_of_audio", "present_of_lyrics"} if keys & set(special) else set()
    assert {name for name, _ in table.named_buffers()} == {"content_of_audio", "content_of_lyrics", "played"} | presence


def test_weights_are_initialised_in_modality_order() -> None:
    """Fix the order of random draws, which determines the metrics of a run."""
    table = make(join="gated", reduce="linear:2")
    torch.manual_seed(0)
    wanted = [torch.nn.Linear(3, 2), torch.nn.Linear(5, 2), torch.nn.Linear(2, 4), torch.nn.Linear(2, 4)]
    found = [
        table.reductions["of_audio"][0],
        table.reductions["of_lyrics"][0],
        table.projections["of_audio"],
        table.projections["of_lyrics"],
    ]
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)


@pytest.mark.parametrize(
    ("changed", "key"), [({"reduce_joint": "linear:4"}, "joined"), ({"join": "sum", "reduce": "linear:4"}, "of_audio")]
)
def test_reduction_to_the_models_size_has_no_second_projection(changed: dict[str, str], key: str) -> None:
    table = make(regularise=False, **changed)
    assert [type(layer).__name__ for layer in table.projections.values()] == ["Identity"] * len(table.projections)
    assert key in table.projections and not list(table.projections.parameters())
