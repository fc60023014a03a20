"""Tests of sequential models: their inputs, their queries, and changes that must not affect scores."""

from __future__ import annotations

import gc
import math
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from tests.sequential.small_models import modality, model, table
from toolkit.sequential.heads.match_head import MatchHead
from toolkit.sequential.losses import softmax_cross_entropy
from toolkit.sequential.losses.negative_sampler import Sample
from toolkit.sequential.training.objectives import Masked

V = 20
KINDS = ("sasrec", "bert4rec")
PLAYED = np.array([False] + [True] * 16 + [False] * 4)
CONTENT = {"audio": modality("audio", V, 5, 0), "lyrics": modality("lyrics", V, 3, 1)}
WINDOWS = torch.tensor([[3, 8, 1, 15, 10], [7, 2, 12, 0, 0], [5, 6, 0, 0, 0]])
LENGTHS = torch.tensor([5, 3, 2])

EXACT = 1e-12
"""Of models in double precision: in single precision products of another width differ by 2e-6 on some processors."""


def rich(kind: str, **more: Any) -> Any:
    """Return a model with ids, content and a match head, and four unplayed tracks."""
    return model(kind, n_items=V, played=PLAYED, table=table(CONTENT, PLAYED), match=MatchHead(CONTENT), **more)


def step(made: Any, items: torch.Tensor = WINDOWS, sample: Sample | None = None, **more: Any) -> Any:
    torch.manual_seed(5)
    return made.objective.step(items, torch.zeros(len(items), dtype=torch.int64), sample=sample, **more)


def ask(made: Any, playlists: list[list[int]], width: int = 0) -> torch.Tensor:
    """Return scores [B, V] of every track."""
    longest = max(width, *map(len, playlists))
    items = torch.tensor([tracks + [0] * (longest - len(tracks)) for tracks in playlists])
    every = torch.arange(1, V + 1)
    with torch.no_grad():
        query = made.objective.query(items, torch.tensor([len(tracks) for tracks in playlists]))
        bias = made.space.bias(every)
        return query @ made.space.output_rows(every, made.space.vectors(every)).T + (0 if bias is None else bias)


# the item space


@pytest.mark.parametrize("kind", KINDS)
def test_parameter_names_and_order_are_stable(kind: str) -> None:
    """Saved models and training checkpoints store parameters by name and moments by order."""
    more = {"log_plays": np.zeros(V + 1), "title_dim": 3, "untied": True}
    names = list(dict.fromkeys(name.split(".")[0] for name, _ in rich(kind, **more).named_parameters()))
    assert names[: 1 + (kind == "bert4rec")] == [*(["output_bias"] if kind == "bert4rec" else []), "popularity"]
    assert names[-4:] == ["item_table", "match", "title_projection", "output_head"]
    assert [name for name, _ in rich(kind, **more).named_buffers()][:3] == ["id_gate", "candidates", "log_plays"]


@pytest.mark.parametrize("kind", KINDS)
def test_deleted_network_is_freed_without_garbage_collection(kind: str) -> None:
    gc.disable()
    try:
        made = weakref.ref(rich(kind))
        assert made() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", KINDS)
def test_item_space_changes_dtype_with_its_network(kind: str) -> None:
    made = rich(kind, log_plays=np.ones(V + 1)).double()
    assert made.space.vectors(torch.arange(1, V + 1)).dtype == torch.float64
    assert made.space.bias(torch.arange(1, V + 1)).dtype == torch.float64


# what a state may depend on


def test_later_track_does_not_change_earlier_states() -> None:
    made = rich("sasrec")
    changed = WINDOWS.clone()
    changed[0, 3] = 4
    with torch.no_grad():
        first, second = (
            made.encode(made.space.vectors(items.flatten()).view(*items.shape, -1)) for items in (WINDOWS, changed)
        )
    assert torch.equal(first[0, :3], second[0, :3])
    assert bool(((first[0, 3:] - second[0, 3:]).abs().amax(-1) > 1e-3).all())


@pytest.mark.parametrize("kind", KINDS)
def test_padding_does_not_change_scores(kind: str) -> None:
    made = rich(kind).double()
    alone = ask(made, [[7, 2, 12]])
    torch.testing.assert_close(ask(made, [[7, 2, 12]], width=9), alone, atol=EXACT, rtol=0)
    torch.testing.assert_close(ask(made, [[7, 2, 12], [1, 2, 3, 4, 5, 6, 8]])[:1], alone, atol=EXACT, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_ranking_depends_on_a_single_seed(kind: str) -> None:
    scores = ask(model(kind, n_items=V, played=PLAYED), [[5], [9]])
    orders = scores.argsort(dim=1, descending=True)
    assert orders[0].tolist() != orders[1].tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_scores_depend_on_every_seed_and_its_position(kind: str) -> None:
    made = rich(kind)
    scores = ask(made, [[7, 2, 12], [4, 2, 12], [7, 4, 12], [7, 2, 4], [2, 7, 12]])
    assert bool(((scores[1:] - scores[0]).abs().amax(1) > 1e-3).all())


@pytest.mark.parametrize("kind", KINDS)
def test_scores_without_seeds_are_finite(kind: str) -> None:
    made = rich(kind)
    with torch.no_grad():
        query = made.objective.query(torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 0]))
    assert bool(torch.isfinite(query).all())
    assert torch.equal(query[0], query[1])


@pytest.mark.parametrize("kind", KINDS)
def test_free_ids_of_unplayed_tracks_do_not_change_scores(kind: str) -> None:
    made = rich(kind)
    asked, loss = [[7, 2, 17], [18, 20]], step(made)
    before, value = ask(made, asked), softmax_cross_entropy.full(loss.scores, loss.targets)
    value.backward()
    unplayed = torch.from_numpy(np.flatnonzero(~PLAYED))  # padding among them
    assert not made.item_embedding.weight.grad[unplayed].any()
    with torch.no_grad():
        made.item_embedding.weight[unplayed] = 1e3
    again = step(made)
    assert torch.equal(ask(made, asked), before)
    assert torch.equal(softmax_cross_entropy.full(again.scores, again.targets), value)


@pytest.mark.parametrize("kind", KINDS)
def test_unplayed_tracks_are_not_training_candidates(kind: str) -> None:
    made = rich(kind)
    assert made.candidates.tolist() == np.flatnonzero(PLAYED).tolist()
    assert step(made).scores.logits().shape[1] == int(PLAYED.sum())


def test_content_gives_unplayed_tracks_different_scores() -> None:
    made = rich("sasrec")
    known = CONTENT["audio"].present & CONTENT["lyrics"].present
    first, second = np.flatnonzero(known & ~PLAYED)[:2]
    scores = ask(made, [[7, 2, int(first)], [7, 2, int(second)]])
    assert float((scores[0] - scores[1]).abs().max()) > 1e-3
    assert abs(float(scores[0, first - 1] - scores[0, second - 1])) > 1e-3


# what is asked


def test_sasrec_predicts_every_next_track_after_the_scored_position() -> None:
    made = rich("sasrec")
    asked = made.objective.step(WINDOWS, torch.tensor([2, 0, 0]))
    assert made.candidates[asked.targets].tolist() == [15, 10, 2, 12, 6]


@pytest.mark.parametrize("kind", KINDS)
def test_step_scores_equal_query_scores(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Score the last track in a training step and by `query`."""
    made = rich(kind).double()
    if kind == "bert4rec":
        last = torch.arange(5)[None] == LENGTHS[:, None] - 1
        monkeypatch.setattr(Masked, "masks", lambda self, items, lengths: last)
    asked = made.objective.step(WINDOWS, LENGTHS - 2)
    assert made.candidates[asked.targets].tolist() == [10, 12, 6]
    seeds = WINDOWS.masked_fill(torch.arange(5)[None] >= LENGTHS[:, None] - 1, 0)[:, :4]
    torch.testing.assert_close(asked.scores.query, made.objective.query(seeds, LENGTHS - 1), atol=EXACT, rtol=0)
    torch.testing.assert_close(asked.scores.match_query, made.match.whole(seeds), atol=EXACT, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_track_does_not_change_its_query(kind: str) -> None:
    """Replace a hidden track under the same masks, and compare the query and the match query."""
    made = rich(kind)
    one = step(made)
    masked = torch.tensor(made.candidates[one.targets].tolist())
    changed = WINDOWS.clone()
    if kind == "sasrec":
        changed[0, 4] = 4  # the last track of the longest window is a target alone
        rows = slice(0, len(masked))
    else:
        torch.manual_seed(5)
        changed[made.objective.masks(WINDOWS, LENGTHS)] = 4
        rows = slice(None)
    other = step(made, changed)
    assert other.targets.tolist() != one.targets.tolist()
    assert torch.equal(other.scores.query[rows], one.scores.query[rows])
    assert torch.equal(other.scores.match_query[rows], one.scores.match_query[rows])


def test_bert4rec_mask_at_first_position_counts_in_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    made = rich("bert4rec")
    first = torch.zeros(3, 5, dtype=torch.bool)
    first[:, 0] = True
    monkeypatch.setattr(Masked, "masks", lambda self, items, lengths: first)
    asked = step(made)
    assert made.candidates[asked.targets].tolist() == [3, 7, 5]
    changed = WINDOWS.clone()
    changed[:, 0] = 4
    other = step(made, changed)
    assert torch.equal(other.scores.query, asked.scores.query)
    assert made.candidates[other.targets].tolist() == [4, 4, 4]


@pytest.mark.parametrize("ratio", [0.2, 0.5])
def test_masks_have_frequency_mask_ratio(ratio: float) -> None:
    made = model("bert4rec", n_items=V, mask_ratio=ratio)
    torch.manual_seed(0)
    length, rows = 30, 4000
    masked = made.objective.masks(torch.ones(rows, length, dtype=torch.int64), torch.full((rows,), length))
    alone = (masked.sum(1) == 1) & masked[:, -1]
    wanted = ratio * (1 - ratio) + ratio / length  # a share `ratio` of rows hides its last track alone
    assert float(masked.float().mean()) == pytest.approx(wanted, abs=0.01)
    assert float(alone.float().mean()) == pytest.approx(ratio, abs=0.03)
    assert float(masked[~alone, 0].float().mean()) == pytest.approx(ratio, abs=0.03)


def test_every_row_has_a_mask_outside_padding() -> None:
    made = model("bert4rec", n_items=V, mask_ratio=0.05)
    torch.manual_seed(0)
    items = WINDOWS.repeat(500, 1)
    masked = made.objective.masks(items, LENGTHS.repeat(500))
    assert bool(masked.any(1).all())
    assert not bool((masked & (items == 0)).any())


# the sampled loss


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_loss_with_every_track_equals_full_loss(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = rich(kind)
    counts = torch.from_numpy(PLAYED.astype(np.float32))
    every = Sample(negatives=2000, n_candidates=int(PLAYED.sum()), expected=counts)

    def worked(sample: Sample | None) -> tuple[float, dict[str, torch.Tensor]]:
        made.zero_grad()
        torch.manual_seed(5)
        masks = made.objective.masks(WINDOWS, LENGTHS) if kind == "bert4rec" else None
        if masks is not None:
            monkeypatch.setattr(Masked, "masks", lambda self, items, lengths: masks)
        asked = step(made, sample=sample)
        value = softmax_cross_entropy.full(asked.scores, asked.targets)
        value.backward()
        return float(value.detach()), {
            name: p.grad.clone() for name, p in made.named_parameters() if p.grad is not None
        }

    wanted, found = worked(None), worked(every)
    assert found[0] == pytest.approx(wanted[0], abs=1e-6)
    assert set(found[1]) == set(wanted[1])
    for name, grad in wanted[1].items():
        torch.testing.assert_close(found[1][name], grad, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_shared_sample_loss_equals_full_loss_over_sample_and_target(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute the loss for each position from the full logits, without the batch's own tracks."""
    made = rich(kind)
    monkeypatch.setattr(Masked, "masks", lambda self, items, lengths: items > 0)
    torch.manual_seed(5)
    drawn = made.candidates[torch.randint(len(made.candidates), (7,))]
    asked = step(made, sample=Sample(7, int(PLAYED.sum()), torch.zeros(V + 1), own=False))
    everything = step(made)
    logits, correction = everything.scores.logits(), -math.log(1 - (15 / 16) ** 7)
    wanted = []
    for row, target in zip(logits, everything.targets.tolist(), strict=True):
        others = [
            row[place] + correction
            for place, track in enumerate(made.candidates.tolist())
            if track in drawn and place != target
        ]
        wanted.append(torch.logsumexp(torch.stack([row[target], *others]), 0) - row[target])
    assert 0 < int((asked.scores.hit < len(asked.scores.table)).sum()) < len(asked.targets)
    for loss in (softmax_cross_entropy.full, softmax_cross_entropy.chunked):
        assert loss(asked.scores, asked.targets).item() == pytest.approx(torch.stack(wanted).mean().item(), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_sampled_logits_are_corrected_by_log_q(kind: str) -> None:
    made = rich(kind)
    counts = torch.from_numpy(PLAYED.astype(np.float32))
    plain, corrected = (step(made, sample=Sample(3, 16, expected)).scores for expected in (None, counts))
    assert len(plain.table) < len(made.candidates)
    wanted = torch.log(torch.tensor(1 - math.exp(-1) * (15 / 16) ** 3))
    bias = torch.zeros(()) if plain.bias is None else plain.bias
    torch.testing.assert_close(corrected.bias, (bias - wanted).expand(len(plain.table)))


# parts


@pytest.mark.parametrize("kind", KINDS)
def test_zero_title_vector_equals_missing_title(kind: str) -> None:
    made = rich(kind, title_dim=3)
    items, lengths = WINDOWS[:1, :3], torch.tensor([3])
    with torch.no_grad():
        plain, zero, one = (
            made.objective.query(items, lengths, title) for title in (None, torch.zeros(1, 3), torch.ones(1, 3))
        )
    torch.testing.assert_close(zero, plain)
    assert float((one - plain).abs().max()) > 1e-3


def test_untied_head_has_its_own_rows() -> None:
    made = model("sasrec", n_items=V, untied=True)
    every = torch.arange(V + 1)
    assert torch.equal(made.space.output_rows(every, made.space.vectors(every)), made.output_head.weight)
    assert torch.equal(made.objective.step(WINDOWS, LENGTHS - 2).scores.table, made.output_head.weight)


@pytest.mark.parametrize("kind", KINDS)
def test_popularity_bias_is_a_multiple_of_log_plays(kind: str) -> None:
    log_plays = np.log1p(np.arange(V + 1))
    made, without = (model(kind, n_items=V, log_plays=plays) for plays in (log_plays, None))
    without.load_state_dict(
        {name: value for name, value in made.state_dict().items() if name not in ("popularity", "log_plays")}
    )
    asked = [[5, 9]]
    wanted = ask(without, asked) + float(made.popularity.detach()) * torch.from_numpy(log_plays[1:]).float()
    torch.testing.assert_close(ask(made, asked), wanted, atol=1e-5, rtol=0)


def test_model_with_content_only_has_no_free_ids() -> None:
    made = model("sasrec", n_items=V, played=PLAYED, table=table(CONTENT, PLAYED), id_embedding=False)
    every = torch.arange(V + 1)
    assert torch.equal(made.space.vectors(every), made.item_table(every))


def test_id_dropout_drops_free_ids_but_not_content() -> None:
    made = rich("sasrec", id_dropout=0.25)
    many = torch.full((4000,), 3)
    made.train()
    with torch.no_grad():
        vectors, content = made.space.vectors(many), made.item_table(many)
    without = (vectors == content).all(dim=1)
    assert float(without.float().mean()) == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(vectors[~without], (content + made.item_embedding.weight[3])[~without])
    made.eval()
    torch.testing.assert_close(made.space.vectors(many), content + made.item_embedding.weight[3])


@pytest.mark.parametrize("xavier", [False, True])
def test_initialisation_does_not_change_loaded_vectors_and_deltas(xavier: bool) -> None:
    from toolkit.sequential.item_space import Parts
    from toolkit.sequential.recbole import bridge
    from toolkit.sequential.recbole.multimodal_sasrec import MultimodalSASRec

    config, size = bridge.model_config("SASRec", n_items=V, hidden_size=8)
    held = table(CONTENT, PLAYED, train="finetune")
    before = {name: held.content(name).clone() for name in held.names}
    made: Any = MultimodalSASRec(config, size, Parts(table=held, played=PLAYED, xavier=xavier))
    assert all(torch.equal(made.item_table.content(name), value) for name, value in before.items())
    assert not any(delta.weight.any() for delta in made.item_table.deltas.values())


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("start", ["xavier", "identity"])
def test_open_path_gives_playlist_tracks_high_initial_scores(start: str, late: bool) -> None:
    """Compare the scores of the playlist's own tracks before training with the standard deviation of all scores."""
    from toolkit.sequential.item_space import Parts
    from toolkit.sequential.recbole import bridge
    from toolkit.sequential.recbole.multimodal_bert4rec import MultimodalBERT4Rec

    tracks, played = 300, np.arange(301) > 0
    content = {"audio": modality("audio", tracks, 16, 0, coverage=1.0)}
    held = table(content, played, hidden_size=64, architecture="late" if late else "early", join="sum")
    torch.manual_seed(0)
    config, size = bridge.model_config("BERT4Rec", n_items=tracks, hidden_size=64)
    made: Any = MultimodalBERT4Rec(
        config, size, Parts(held, played=played, late=late, xavier=True, identity=start == "identity")
    ).eval()
    playlists = torch.randint(1, tracks + 1, (100, 6))
    with torch.no_grad():
        every = torch.arange(tracks + 1)
        scores = (
            made.objective.query(playlists, torch.full((100,), 6))
            @ made.space.output_rows(every, made.space.vectors(every))[1:].T
        )
    own = scores.gather(1, playlists - 1).mean(1)
    lead = float(((own - scores.mean(1)) / scores.std(1)).mean())
    assert lead > 0.5 if start == "identity" else abs(lead) < 0.2
