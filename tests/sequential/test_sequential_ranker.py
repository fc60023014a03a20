"""Tests of sequential models as rankers: the contract of every model type, ranked tracks, and saved files."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from segue.checks.check_ranker import check_ranker
from tests.sequential.small_models import fusion, modality, ring, spec, training
from toolkit.corpus.queries import Queries
from toolkit.corpus.splits import HeldOut
from toolkit.encoders.text.tfidf import TfidfEncoder, TfidfParams
from toolkit.errors import InputError, RunDirectoryError
from toolkit.fusion.prepare import prepare
from toolkit.ranker import TrainingData
from toolkit.sequential.scoring.playlist_scorer import PlaylistScorer
from toolkit.sequential.sequential_ranker import SequentialRanker

DATA, VALID = ring()
IDS_ONLY = replace(DATA, modalities={})
UNPLAYED = np.flatnonzero(DATA.train.counts() == 0)[1:]
PLAYED = np.flatnonzero(DATA.train.counts() > 0)
EVERY = np.arange(1, DATA.n_items + 1)

KINDS: dict[str, tuple[TrainingData, dict[str, Any], dict[str, Any]]] = {
    "sasrec-ids": (IDS_ONLY, {}, {}),
    "bert4rec-ids": (IDS_ONLY, {"type": "bert4rec"}, {}),
    "sasrec-content": (DATA, {}, {}),
    "bert4rec-content": (DATA, {"type": "bert4rec"}, {}),
    "sasrec-match": (DATA, {"match": True}, {"match_modalities": ["lyrics"]}),
    "bert4rec-match-popularity": (DATA, {"type": "bert4rec", "match": True, "popularity": True}, {}),
    "sasrec-neighbours": (DATA, {"match": True, "neighbours": 5}, {}),
    "bert4rec-neighbours-ids": (IDS_ONLY, {"type": "bert4rec", "neighbours": 60}, {}),
    "sasrec-titles": (DATA, {"titles": True}, {}),
    "bert4rec-titles-ids": (IDS_ONLY, {"type": "bert4rec", "titles": True}, {}),
    "sasrec-finetune": (DATA, {"train": "finetune", "popularity": True}, {"join": "sum", "reduce": "linear:4"}),
    "bert4rec-finetune": (DATA, {"type": "bert4rec", "train": "finetune"}, {"normalise": "after", "reduce": "pca:3"}),
    "sasrec-untied": (IDS_ONLY, {"head": "untied"}, {}),
    "sasrec-untied-content": (DATA, {"head": "untied", "cold_rows": "none"}, {}),
    "bert4rec-strict": (IDS_ONLY, {"type": "bert4rec", "strict_recbole": True, "loss": "full"}, {}),
    "bert4rec-xavier": (DATA, {"type": "bert4rec", "initialisation": "xavier"}, {}),
    "bert4rec-strict-content": (DATA, {"type": "bert4rec", "strict_recbole": True, "match": True}, {}),
    "bert4rec-last-item": (DATA, {"type": "bert4rec", "last_item_epochs": 1}, {}),
    "sasrec-late": (DATA, {"match": True}, {"architecture": "late", "id_dropout": 0.2}),
    "bert4rec-late": (
        DATA,
        {"type": "bert4rec", "titles": True},
        {"architecture": "late", "missing": "zero", "reduce": "linear:4"},
    ),
    "sasrec-late-no-ids": (
        DATA,
        {"train": "finetune"},
        {"architecture": "late", "id_embedding": False, "regularise": False},
    ),
    "bert4rec-late-finetune": (
        DATA,
        {"type": "bert4rec", "train": "finetune"},
        {"architecture": "late", "modality_dropout": 0.2},
    ),
    "sasrec-late-untied": (DATA, {"head": "untied", "cold_rows": "none"}, {"architecture": "late"}),
    "sasrec-unregularised": (DATA, {}, {"regularise": False}),
    "sasrec-gbce": (IDS_ONLY, {"loss": {"type": "gbce", "negatives": 16, "t": 0.5}}, {}),
    "sasrec-no-ids": (DATA, {"loss": {"type": "sampled", "negatives": 16}}, {"id_embedding": False}),
    "sasrec-predicted": (DATA, {"cold_rows": "predicted", "average": True}, {}),
    "bert4rec-predicted-late": (DATA, {"type": "bert4rec", "cold_rows": "predicted"}, {"architecture": "late"}),
    "sasrec-cooccurrence": (
        DATA,
        {"id_start": "cooccurrence", "initialisation": "xavier"},
        {"id_dropout": 0.2, "modality_dropout": 0.2},
    ),
}


def titles() -> TfidfEncoder:
    known = sorted({title for title in DATA.train.titles() if title})
    return TfidfEncoder(TfidfParams(dim=3)).fit(known)


def make(model: dict[str, Any] | None = None, joined: dict[str, Any] | None = None) -> SequentialRanker:
    chosen = (
        spec(**{"kind": "sasrec", **(model or {})})
        if "type" not in (model or {})
        else spec((model or {})["type"], **(model or {}))
    )
    return SequentialRanker(chosen, fusion(**(joined or {})), titles=titles() if chosen.titles else None)


def fitted(data: TrainingData = DATA, model: dict[str, Any] | None = None, **joined: Any) -> SequentialRanker:
    return make(model, joined).fit(data)


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_type_passes_check_ranker(kind: str) -> None:
    """The checks include identical repeated fits, and identical rankings after saving and loading."""
    data, model, joined = KINDS[kind]
    check_ranker(lambda: make(model, joined), data, VALID)


@pytest.mark.parametrize("kind", KINDS)
def test_loaded_model_returns_identical_scores(kind: str, tmp_path: Path) -> None:
    data, model, joined = KINDS[kind]
    ranker = fitted(data, model, **joined)
    ranker.save(tmp_path)
    loaded = SequentialRanker.load(tmp_path)
    queries = VALID.queries()
    assert np.array_equal(loaded.score(queries, EVERY), ranker.score(queries, EVERY))
    assert (loaded.spec, loaded.fusion, loaded.curve, loaded.underfit) == (
        ranker.spec,
        ranker.fusion,
        ranker.curve,
        ranker.underfit,
    )
    kept = {name: value for name, value in loaded.model.named_buffers()}
    assert all(torch.equal(kept[name], value) for name, value in ranker.model.named_buffers())


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_loaded_model_does_not_map_its_file(tmp_path: Path) -> None:
    """A tensor that maps part of the file would keep the whole file in memory in addition to the weights."""
    fitted(model={"neighbours": 3}).save(tmp_path)
    loaded = SequentialRanker.load(tmp_path)
    assert loaded.neighbours is not None
    assert str(tmp_path) not in Path("/proc/self/maps").read_text()


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_trained_model_recall_is_above_popularity_on_the_ring(kind: str) -> None:
    """The next tracks on the ring are a few steps away. A ranking by plays contains a quarter of them."""
    ranker = fitted(IDS_ONLY, {"type": kind, "epochs": 30, "patience": 30, "lr": 1e-2, "dropout": 0.0})
    assert max(row["recall@10"] for row in ranker.curve) > 0.45


@pytest.mark.parametrize("option", [{"strict_recbole": True}, {"last_item_epochs": 1}, {"mask_ratio": 0.4}])
def test_bert4rec_settings_for_sasrec_raise_validation_error(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="can be set only with `type: bert4rec`, not `sasrec`: "):
        spec("sasrec", **option)


def test_bert4rec_initialisation_for_sasrec_raises_validation_error() -> None:
    with pytest.raises(ValueError, match="should be 'auto', 'xavier' or 'recbole'"):
        spec("sasrec", initialisation="identity")


def test_auto_initialisation_resolves_for_each_model_type() -> None:
    assert [spec(kind).starts for kind in ("sasrec", "bert4rec")] == ["xavier", "identity"]
    assert spec("bert4rec", strict_recbole=True).starts == "recbole"
    assert spec("bert4rec", strict_recbole=True, initialisation="identity").starts == "identity"


# which tracks are ranked


@pytest.mark.parametrize("kind", ["sasrec-ids", "bert4rec-ids", "sasrec-untied", "sasrec-untied-content"])
def test_unplayed_tracks_are_not_ranked_without_content(kind: str) -> None:
    data, model, joined = KINDS[kind]
    ranker = fitted(data, model, **joined)
    scores = ranker.score(VALID.queries(), EVERY)
    assert not ranker.ranks_unplayed
    assert np.isneginf(scores[:, UNPLAYED - 1]).all()
    assert np.isfinite(scores[:, PLAYED - 1]).all()
    assert not np.isin(ranker.rank(VALID.queries(), DATA.n_items)[0], UNPLAYED).any()


@pytest.mark.parametrize(
    "kind",
    ["sasrec-content", "bert4rec-content", "sasrec-match", "sasrec-no-ids", "sasrec-late", "bert4rec-late-finetune"],
)
def test_unplayed_tracks_are_ranked_with_content(kind: str) -> None:
    data, model, joined = KINDS[kind]
    ranker = fitted(data, model, **joined)
    scores = ranker.score(VALID.queries(), EVERY)
    described = [track for track in UNPLAYED if all(each.present[track] for each in data.modalities.values())]
    assert len(described) > 2
    assert np.isfinite(scores).all()
    assert (scores[:, np.array(described) - 1].std(axis=1) > 0).all()
    assert set(UNPLAYED) <= set(ranker.rank(VALID.queries(), DATA.n_items)[0].ravel())


def test_cold_rows_none_does_not_rank_unplayed_tracks() -> None:
    with_them, without = fitted(), fitted(model={"cold_rows": "none"})
    scores, cold = (ranker.score(VALID.queries(), EVERY) for ranker in (with_them, without))
    assert np.isneginf(cold[:, UNPLAYED - 1]).all()
    assert np.array_equal(cold[:, PLAYED - 1], scores[:, PLAYED - 1])


def test_untied_head_with_unplayed_tracks_raises_input_error() -> None:
    with pytest.raises(
        InputError, match=r"`head: untied` cannot rank the \d+ tracks without plays: set `head: tied` or `cold_rows"
    ):
        fitted(model={"head": "untied"})


@pytest.mark.parametrize("kind", ["sasrec", "bert4rec"])
def test_unplayed_seeds_of_a_model_without_content_are_identical(kind: str) -> None:
    ranker = fitted(IDS_ONLY, {"type": kind})
    first, second = UNPLAYED[:2].tolist()
    scores = ranker.score(Queries.of([[3, first], [3, second]]), PLAYED)
    assert np.array_equal(scores[0], scores[1])


# what a score is made of


def test_seeds_before_the_window_do_not_change_scores() -> None:
    for kind, kept in (("sasrec", 10), ("bert4rec", 9)):
        ranker = fitted(IDS_ONLY, {"type": kind})
        long = list(range(1, 15))
        scores = ranker.score(Queries.of([long, long[-kept:], long[-kept + 1 :]]), PLAYED)
        assert np.array_equal(scores[0], scores[1])
        assert np.abs(scores[0] - scores[2]).max() > 1e-4


def test_known_title_changes_scores_and_unknown_title_does_not() -> None:
    ranker = fitted(model={"titles": True, "epochs": 4})
    seeds = [[3, 4]] * 4
    scores = ranker.score(Queries.of(seeds, ["quarter 0", "quarter 3", None, ""]), PLAYED)
    plain = ranker.score(Queries.of(seeds[:1]), PLAYED)
    assert np.abs(scores[0] - scores[1]).max() > 1e-4
    np.testing.assert_allclose(scores[2:], np.repeat(plain, 2, axis=0), atol=1e-6)


@pytest.mark.parametrize("kind", ["sasrec-match", "bert4rec-match-popularity"])
def test_score_is_sum_of_state_match_and_bias_terms(kind: str) -> None:
    data, settings, joined = KINDS[kind]
    ranker = fitted(data, settings, **joined)
    made, every = ranker.model, torch.from_numpy(EVERY)
    seeds = torch.tensor([[3, 8, 1], [7, 0, 0]])
    with torch.no_grad():
        wanted = (
            made.objective.query(seeds, torch.tensor([3, 1])) @ made.space.vectors(every).T
            + made.match.whole(seeds) @ made.match.rows(every).T
        )
        if kind.startswith("bert4rec"):
            made.output_bias.uniform_(-1, 1)  # beside content it counts for nothing: unplayed tracks never learn one
            wanted += made.popularity * torch.from_numpy(np.log1p(data.train.counts())).float()[every]
    np.testing.assert_allclose(ranker.score(Queries.of([[3, 8, 1], [7]]), EVERY), wanted, atol=1e-5)


def test_scores_do_not_depend_on_query_block_size(monkeypatch: pytest.MonkeyPatch) -> None:
    ranker = fitted(model={"match": True})
    at_once = ranker.score(VALID.queries(), EVERY)
    monkeypatch.setattr("toolkit.sequential.scoring.playlist_scorer.QUERY_BLOCK", 5)
    np.testing.assert_allclose(ranker.score(VALID.queries(), EVERY), at_once, atol=1e-6)


# content through a whole fit


@pytest.mark.parametrize("train", ["frozen", "finetune"])
def test_item_table_contains_input_vectors_after_fit(train: str) -> None:
    ranker = fitted(model={"train": train, "epochs": 3, "weight_decay": 0.1})
    table = ranker.model.item_table
    for name, given in DATA.modalities.items():
        wanted = prepare(given, missing="mean", reduce="none", normalise="before", fitted=DATA.train.counts() > 0)
        assert np.array_equal(table.content(name).numpy(), wanted)
    moved = {name: delta.weight.detach().abs().sum(1).numpy() for name, delta in table.deltas.items()}
    assert len(moved) == (2 if train == "finetune" else 0)
    for size in moved.values():
        assert (size[PLAYED] > 0).all()
        assert not size[UNPLAYED].any()


def test_finetune_and_frozen_start_with_identical_parameters() -> None:
    def start(train: str) -> Any:
        ranker = make({"train": train})
        ranker._build(dict(DATA.modalities), DATA.train.counts(), device="cpu", seed=3)
        return {name: value for name, value in ranker.model.named_parameters() if ".deltas." not in name}

    frozen, tuned = start("frozen"), start("finetune")
    assert set(frozen) == set(tuned)
    assert all(torch.equal(value, tuned[name]) for name, value in frozen.items())


def test_modalities_may_have_any_name() -> None:
    data = replace(
        DATA,
        modalities={name: modality(name, DATA.n_items, 3, seed) for seed, name in enumerate(("audio.v2", "values"))},
    )
    check_ranker(lambda: make({"match": True, "train": "finetune"}), data, VALID)


# refusals and files


def test_match_without_content_raises_input_error() -> None:
    with pytest.raises(InputError, match="`match: true` requires content"):
        fitted(IDS_ONLY, {"match": True})
    with pytest.raises(InputError, match="the model has no modality among cover"):
        fitted(model={"match": True}, match_modalities=["cover"])


def test_titles_without_encoder_raise_input_error() -> None:
    with pytest.raises(InputError, match="`titles: true` requires a title encoder"):
        SequentialRanker(spec(titles=True), fusion())


def test_fit_on_playlists_of_one_track_raises_input_error() -> None:
    with pytest.raises(InputError, match="sequential requires training playlists of at least 2 tracks"):
        fitted(TrainingData(training([[1], [2], [3]], 5), seed=3))


def test_cooccurrence_start_with_too_few_playlists_is_random() -> None:
    ranker = fitted(TrainingData(training([[1, 2, 3], [2, 3]], 5), seed=3), {"id_start": "cooccurrence"})
    assert np.isfinite(ranker.score(Queries.of([[1]]), np.array([2, 3]))).all()


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_loading_a_damaged_model_raises_run_directory_error(damage: str, tmp_path: Path) -> None:
    fitted(IDS_ONLY).save(tmp_path)
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    path.unlink()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunDirectoryError, match=r"model\.safetensors .* the recipe again"):
        SequentialRanker.load(tmp_path)


def test_saved_model_json_contains_layout_and_curve(tmp_path: Path) -> None:
    ranker = fitted(model={"match": True}, match_modalities=["lyrics"])
    ranker.save(tmp_path)
    info = json.loads((tmp_path / "model.json").read_text())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    assert info["modalities"] == {"audio": 5, "lyrics": 7}
    assert info["match"] == {"lyrics": 7}
    assert [row["epoch"] for row in info["curve"]] == [1, 2]
    assert {"epoch", "loss", "seconds", "recall@10", "ndcg@10", "hits"} <= set(info["curve"][0])


def test_curve_seconds_use_the_clock_argument() -> None:
    ticks = itertools.count(0.0, 2.5)
    data = replace(IDS_ONLY, clock=lambda: next(ticks))
    # read before and after the steps of an epoch
    assert [row["seconds"] for row in SequentialRanker(spec(epochs=2), fusion()).fit(data).curve] == [2.5, 2.5]


def test_validation_metrics_equal_evaluation_metrics(tmp_path: Path) -> None:
    from toolkit.evaluation.evaluator import evaluate

    ranker = fitted(model={"epochs": 1})
    scores = evaluate(ranker, VALID, ks=[10], metrics=["recall", "ndcg"], train_counts=DATA.train.counts())
    for name in ("recall", "ndcg"):
        assert ranker.curve[0][f"{name}@10"] == pytest.approx(float(np.mean(scores.values["all", name, 10])), abs=1e-9)


@pytest.mark.parametrize("content", [False, True])
def test_validation_counts_hits_and_the_ranks_of_known_tracks(content: bool) -> None:
    """Compare with ranks by sorting. Cold hidden tracks are left out unless the model reads their content."""
    part = held_out_with_cold_tracks()
    data = replace(DATA if content else IDS_ONLY, valid=part, device="cpu")
    ranker = SequentialRanker(spec(epochs=1), fusion()).fit(data)
    present = np.any([modality.present for modality in DATA.modalities.values()], axis=0)
    known = (DATA.train.counts() > 0) | (present if content else False)
    ids, _ = ranker.rank(part.queries(), ranker.n_items)
    tracks, offsets = part.hidden()
    hits, means = 0, []
    for row in range(len(part)):
        ranks = {track: at for at, track in enumerate(ids[row].tolist(), start=1)}
        mine = tracks[offsets[row] : offsets[row + 1]].tolist()
        hits += sum(ranks.get(track, 99) <= 10 for track in mine)
        if logs := [np.log(ranks[track]) for track in mine if known[track]]:
            means.append(np.mean(logs))
    cold = tracks[DATA.train.counts()[tracks] == 0]
    assert len(cold) == len(part)
    assert known[cold].any() == content
    assert 0 < hits < 50
    assert ranker.curve[0]["hits"] == hits
    assert ranker.curve[0]["log_rank"] == pytest.approx(np.mean(means), abs=1e-9)


def test_log_rank_is_left_out_if_no_hidden_track_is_known() -> None:
    part = held_out_with_cold_tracks()
    part = replace(part.take(np.arange(1)), placements=np.array([1, 2, 3, 48, 47], np.int32))
    part = replace(part, starts=np.array([0]), cuts=np.array([3]), ends=np.array([5]))
    ranker = SequentialRanker(spec(epochs=6, patience=3), fusion()).fit(replace(IDS_ONLY, valid=part, device="cpu"))
    assert [row["hits"] for row in ranker.curve] == [0, 0, 0, 0]
    assert not any("log_rank" in row for row in ranker.curve)


def test_recbole_models_leave_out_ranks_of_unplayed_tracks() -> None:
    """They rank unplayed tracks by vectors that are random at first and pushed away in training."""
    strict = {"loss": "full", "strict_recbole": True, "epochs": 1}
    ranker = SequentialRanker(spec("bert4rec", **strict), fusion()).fit(replace(DATA, device="cpu"))
    assert ranker.spec.ranks_every_id
    assert np.array_equal(ranker.known, DATA.train.counts() > 0)


def held_out_with_cold_tracks() -> HeldOut:
    """Return the validation playlists of the ring, each with an unplayed track as its last hidden one."""
    queries, (tracks, offsets) = VALID.queries(), VALID.hidden()
    seeds = queries.seeds.reshape(-1, 3).tolist()
    hidden = [tracks[a:b].tolist() for a, b in itertools.pairwise(offsets)]
    lists = [[*seeds[row], *hidden[row], 43 + row % 6] for row in range(len(VALID))]
    ends = np.cumsum([len(each) for each in lists])
    starts = ends - [len(each) for each in lists]
    placements = np.array([track for each in lists for track in each], np.int32)
    return replace(VALID, placements=placements, starts=starts, cuts=starts + 3, ends=ends)


def test_validation_encodes_the_playlists_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, encode = [], PlaylistScorer._encode_blocks

    def spy(self: PlaylistScorer, queries: Queries) -> Any:
        calls.append(len(queries))
        return encode(self, queries)

    monkeypatch.setattr(PlaylistScorer, "_encode_blocks", spy)
    ranker = SequentialRanker(spec(epochs=3), fusion()).fit(replace(DATA, device="cpu"))
    assert all("log_rank" in row for row in ranker.curve)
    assert calls == [len(VALID)] * 3
    queries = VALID.queries()
    first = ranker.rank(queries, 5)[1]
    with torch.no_grad():
        ranker.model.space.ids.weight.mul_(2.0)
    ranker.forget()
    assert not np.array_equal(ranker.rank(queries, 5)[1], first)  # after a fit nothing is kept
