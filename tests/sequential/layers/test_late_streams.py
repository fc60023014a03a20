"""Tests of late fusion against RecBole's encoder for each stream, and against early fusion with one stream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from tests.sequential.small_models import fusion, modality, model, ring, spec, table
from toolkit.sequential.item_space import Parts
from toolkit.sequential.losses import softmax_cross_entropy
from toolkit.sequential.recbole import bridge
from toolkit.sequential.recbole.multimodal_bert4rec import MultimodalBERT4Rec
from toolkit.sequential.recbole.multimodal_sasrec import MultimodalSASRec
from toolkit.sequential.recbole.recbole_transformer import RecBoleTransformer
from toolkit.sequential.sequential_ranker import SequentialRanker

V, H = 20, 8
KINDS = ("sasrec", "bert4rec")
PLAYED = np.array([False] + [True] * 16 + [False] * 4)
CONTENT = {"audio": modality("audio", V, 5, 0), "lyrics": modality("lyrics", V, 3, 1)}
WINDOWS = torch.tensor([[3, 8, 1, 15, 10], [7, 2, 12, 0, 0], [5, 6, 0, 0, 0]])
EVERY = torch.arange(V + 1)


def late(
    kind: str, names: tuple[str, ...] = ("audio", "lyrics"), *, ids: bool = True, regularise: bool = True, **more: Any
) -> Any:
    content = table({name: CONTENT[name] for name in names}, PLAYED, architecture="late", regularise=regularise)
    return model(kind, n_items=V, played=PLAYED, table=content, id_embedding=ids, late=True, **more)


def inputs(made: Any, items: torch.Tensor = WINDOWS) -> torch.Tensor:
    return made.space.vectors(items.flatten()).view(*items.shape, -1) * (items > 0)[..., None]


def states(made: Any, vectors: torch.Tensor) -> torch.Tensor:
    return RecBoleTransformer.encode(made, vectors, WINDOWS > 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ids", [True, False])
def test_late_fusion_equals_weighted_sum_of_recbole_encoders(kind: str, ids: bool) -> None:
    """Pass each stream through RecBole's forward, and compare with the weighted and normalised sum."""
    made = late(kind, ids=ids)
    streams = [made.item_embedding.weight[:-1] if kind == "bert4rec" else made.item_embedding.weight] if ids else []
    streams = [each[EVERY] * made.id_gate for each in streams]
    for name in CONTENT:
        key = f"of_{name}"
        streams.append(made.item_table.norms[key](made.item_table.projections[key](made.item_table.content(name))))
    added = torch.zeros(*WINDOWS.shape, H)
    with torch.no_grad():
        for stream, stack, weight in zip(streams, [made, *made.late.stacks], made.late.weight, strict=True):
            vectors = stream[WINDOWS] * (WINDOWS > 0)[..., None]
            hidden = stack.LayerNorm(vectors + stack.position_embedding.weight[: WINDOWS.shape[1]])
            mask = made.get_attention_mask(WINDOWS, bidirectional=kind == "bert4rec")
            added += weight * stack.trm_encoder(hidden, mask)[-1]
        wanted, found = made.late.norm(added), states(made, inputs(made))
    for row, length in enumerate((WINDOWS > 0).sum(1).tolist()):
        torch.testing.assert_close(found[row, :length], wanted[row, :length], atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_late_norm_each_adds_a_layer_norm_of_each_stack(kind: str) -> None:
    """Compare with LN_1(h_1) + LN_2(h_2), written out."""
    content = table(CONTENT, PLAYED, architecture="late", late_norm="each")
    made = model(kind, n_items=V, played=PLAYED, table=content, id_embedding=False, late=True)
    vectors = inputs(made)
    added = torch.zeros(*WINDOWS.shape, H)
    with torch.no_grad():
        for part, stack, norm in zip(vectors.split(H, dim=-1), [made, *made.late.stacks], made.late.norms, strict=True):
            hidden = stack.LayerNorm(part + stack.position_embedding.weight[: WINDOWS.shape[1]])
            mask = made.get_attention_mask(WINDOWS, bidirectional=kind == "bert4rec")
            last = stack.trm_encoder(hidden, mask)[-1]
            scaled = (last - last.mean(-1, keepdim=True)) / last.var(-1, unbiased=False, keepdim=True).sqrt()
            added += scaled * norm.weight + norm.bias
        found = states(made, vectors)
    for row, length in enumerate((WINDOWS > 0).sum(1).tolist()):
        torch.testing.assert_close(found[row, :length], added[row, :length], atol=1e-4, rtol=1e-4)
    gains = [float(norm.weight.detach().abs().mean()) for norm in made.late.norms]
    factors = [value for part, _, _, value in made.space.weights() if part == "stream"]
    assert factors == pytest.approx(gains) and not hasattr(made.late, "weight")


@pytest.mark.parametrize("changed", [{"architecture": "early"}, {"architecture": "late", "regularise": False}])
def test_late_norm_each_requires_regularised_late_fusion(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="`late_norm: each` requires `architecture: late` and `regularise: true`"):
        fusion(late_norm="each", **changed)


@pytest.mark.parametrize("kind", KINDS)
def test_late_fusion_of_one_stream_equals_early_fusion(kind: str) -> None:
    """With regularisation a LayerNorm is added to the early-fusion states."""
    for regularise in (False, True):
        made = late(
            kind, ("audio",), ids=False, regularise=regularise
        ).double()  # in single precision some processors round otherwise
        content = table({"audio": CONTENT["audio"]}, PLAYED, join="sum", regularise=regularise)
        early = model(kind, n_items=V, played=PLAYED, table=content, id_embedding=False).double()
        early.load_state_dict(
            {name: value for name, value in made.state_dict().items() if not name.startswith("late.")}
        )
        with torch.no_grad():
            made.late.weight.fill_(1.0)
            assert torch.equal(made.space.output_rows(EVERY, made.space.vectors(EVERY)), early.space.vectors(EVERY))
            wanted = states(early, inputs(early))
            wanted = made.late.norm(wanted) if regularise else wanted
            torch.testing.assert_close(states(made, inputs(made)), wanted, atol=1e-12, rtol=0)
            if not regularise:
                lengths = (WINDOWS > 0).sum(1)
                torch.testing.assert_close(
                    made.objective.query(WINDOWS, lengths), early.objective.query(WINDOWS, lengths), atol=1e-12, rtol=0
                )


@pytest.mark.parametrize("kind", KINDS)
def test_stream_with_weight_0_does_not_change_states(kind: str) -> None:
    made = late(kind)
    with torch.no_grad():
        before = inputs(made)
        other = before.clone()
        other[..., 2 * H :] += torch.arange(H) / 4  # the lyrics of every track
        assert float((states(made, other) - states(made, before)).abs().max()) > 1e-3
        made.late.weight[2] = 0.0
        assert torch.equal(states(made, other), states(made, before))


@pytest.mark.parametrize("kind", KINDS)
def test_late_fusion_scores_are_one_product_with_table_of_model_width(kind: str) -> None:
    made = late(kind)
    with torch.no_grad():
        rows = made.space.output_rows(EVERY, made.space.vectors(EVERY))
        assert rows.shape == (V + 1, H)
        wanted = made.item_embedding(EVERY) * made.id_gate + made.item_table(EVERY)
        torch.testing.assert_close(rows, wanted)
        lengths = (WINDOWS > 0).sum(1)
        padded = torch.nn.functional.pad(WINDOWS, (0, made.max_seq_length - WINDOWS.shape[1]))
        scores = made.full_sort_predict(bridge.Interaction({"item_id_list": padded, "item_length": lengths}))
    torch.testing.assert_close(scores, made.objective.query(padded[:, :5], lengths) @ rows.T, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_every_stack_and_stream_weight_gets_a_gradient(kind: str) -> None:
    made = late(kind)
    torch.manual_seed(5)
    step = made.objective.step(WINDOWS, torch.zeros(3, dtype=torch.int64))
    softmax_cross_entropy.full(step.scores, step.targets).backward()
    assert len(made.late.stacks) == 2
    # a key's bias shifts all of a softmax alike: no gradient but rounding
    still = [
        name
        for name, each in made.named_parameters()
        if (each.grad is None or not each.grad.any()) and not name.endswith("key.bias")
    ]
    unused = {"output_bias"}  # beside content BERT4Rec's bias an id is left out
    assert set(still) <= unused


def test_each_stream_has_its_own_mask_vector() -> None:
    made = late("bert4rec")
    hidden = torch.zeros(3, 5, dtype=torch.bool)
    hidden[0, 1] = True
    given = made.objective.hide(inputs(made), hidden)
    wanted = torch.cat(
        [made.item_embedding.weight[made.mask_token], made.late.stacks[0].mask, made.late.stacks[1].mask]
    )
    assert torch.equal(given[0, 1], wanted)
    assert torch.equal(given[~hidden], inputs(made)[~hidden])
    assert late("sasrec").late.stacks[0].mask is None


def fresh(kind: str, content: Any, **parts: Any) -> Any:
    base, ours = {"sasrec": ("SASRec", MultimodalSASRec), "bert4rec": ("BERT4Rec", MultimodalBERT4Rec)}[kind]
    torch.manual_seed(0)
    return ours(
        *bridge.model_config(base, n_items=V, hidden_size=H), Parts(table=content, played=PLAYED, late=True, **parts)
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_further_stacks_are_initialised_like_recbole(kind: str) -> None:
    made = fresh(kind, table(CONTENT, PLAYED, architecture="late"))
    for stack in made.late.stacks:
        assert float(stack.position_embedding.weight.detach().std()) == pytest.approx(0.02, rel=0.2)
        assert not torch.equal(stack.position_embedding.weight, made.position_embedding.weight)
        assert all(
            float(each.weight.detach().std()) == pytest.approx(0.02, rel=0.3)
            for each in stack.modules()
            if isinstance(each, torch.nn.Linear)
        )
    assert made.late.weight.tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize("regularise", [True, False])
def test_xavier_does_not_change_projections_without_norm(regularise: bool) -> None:
    content = table(CONTENT, PLAYED, architecture="late", regularise=regularise)
    before = {name: value.clone() for name, value in content.named_parameters()}
    made = fresh("sasrec", content, xavier=True)
    weight = "projections.of_audio.weight"
    assert torch.equal(made.item_table.get_parameter(weight), before[weight]) is not regularise
    assert float(made.late.stacks[0].trm_encoder.layer[0].feed_forward.dense_1.weight.detach().std()) > 0.1


def test_late_fusion_with_concat_raises_validation_error() -> None:
    assert fusion(architecture="late").join.type == "sum"
    assert fusion(architecture="late", join="sum").join.type == "sum"
    with pytest.raises(ValidationError, match="`join: concat` requires `architecture: early`"):
        fusion(architecture="late", join="concat")
    with pytest.raises(
        ValidationError, match="`normalise: after` requires a join that projects all modalities together"
    ):
        fusion(architecture="late", normalise="after")


def test_model_with_ids_only_has_one_stack_in_both_architectures() -> None:
    data, valid = ring()
    ids, every = replace(data, modalities={}), np.arange(1, data.n_items + 1)
    early, apart = (SequentialRanker(spec(epochs=1), fusion(architecture=name)).fit(ids) for name in ("early", "late"))
    assert apart.model.late is None
    assert np.array_equal(apart.score(valid.queries(), every), early.score(valid.queries(), every))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("kind", KINDS)
def test_resuming_a_killed_late_fusion_fit_gives_identical_weights(kind: str, tmp_path: Path) -> None:
    data, valid = ring()
    every = np.arange(1, data.n_items + 1)

    def ranker() -> SequentialRanker:
        return SequentialRanker(spec(kind, epochs=3), fusion(architecture="late"))

    def kill(done: int, total: int, what: str) -> None:
        if what.startswith("epoch 3/"):
            raise Killed

    wanted = ranker().fit(data).score(valid.queries(), every)
    kept = replace(data, workdir=tmp_path)
    with pytest.raises(Killed):
        ranker().fit(replace(kept, progress=kill))
    epochs: list[str] = []
    resumed = ranker().fit(replace(kept, progress=lambda done, total, what: epochs.append(what.split(",")[0])))
    assert set(epochs) == {"epoch 3/3"}
    assert np.array_equal(resumed.score(valid.queries(), every), wanted)


def test_checkpoint_of_other_architecture_is_not_resumed(tmp_path: Path) -> None:
    data, valid = ring()
    kept, every = replace(data, workdir=tmp_path), np.arange(1, data.n_items + 1)
    SequentialRanker(spec(epochs=1), fusion(join="sum")).fit(kept)
    wanted = SequentialRanker(spec(), fusion(architecture="late")).fit(data).score(valid.queries(), every)
    found = SequentialRanker(spec(), fusion(architecture="late")).fit(kept).score(valid.queries(), every)
    assert np.array_equal(found, wanted)
