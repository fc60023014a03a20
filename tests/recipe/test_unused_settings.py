"""Tests of errors for recipe values that are never read.

Defaults and shared values do not raise.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from toolkit.errors import InputError, RecipeError
from toolkit.evaluation.protocols.playlist_disjoint import PlaylistDisjoint
from toolkit.recipe import load, unused_settings
from toolkit.recipe.sweep_trials import trial
from toolkit.sequential.losses.chunked import Chunked
from toolkit.sequential.losses.sampled import Sampled

BASE = """\
data: {reader: demo, permission: {allowed: true, reason: made up}}
encoders:
  audio: {encoder: features, field: audio_features}
  words: {encoder: tfidf, field: lyrics}
models:
  - {type: sasrec}
baselines: [popularity]
"""
OTHERS = "artist_disjoint, item_cold, mpd_challenge or playlist_disjoint"
ASKED = "artist_disjoint, global_time, item_cold, mpd_challenge or playlist_disjoint"
HERE = "protocol: global_time or playlist_disjoint"
DEALT = "mpd_challenge or playlist_disjoint"
WHOLE = "global_time, mpd_challenge or playlist_disjoint"


def recipe(tmp_path: Path, text: str = BASE) -> Path:
    path = tmp_path / "r.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("protocol", "given", "message"),
    [
        (
            "leave_last_out",
            "shown=0.5",
            f"shown=0.5 can be set only with `{HERE}`, not `leave_last_out`: remove `shown`, or set the"
            " default value, 0.7",
        ),
        ("mpd_challenge", "shown=0.5", f"shown=0.5 can be set only with `{HERE}`, not `mpd_challenge`"),
        ("item_cold", "shown=0.5", f"shown=0.5 can be set only with `{HERE}`, not `item_cold`"),
        (
            "artist_disjoint",
            "seeds=5",
            f"seeds=5 can be set only with `{HERE}`, not `artist_disjoint`: remove `seeds`, or set the default"
            " value, null",
        ),
        ("leave_last_out", "seeds=5", f"seeds=5 can be set only with `{HERE}`, not `leave_last_out`"),
        ("mpd_challenge", "seeds=5", f"seeds=5 can be set only with `{HERE}`, not `mpd_challenge`"),
        (
            "leave_last_out",
            "min_tracks=5",
            f"min_tracks=5 can be set only with `protocol: {ASKED}`, not `leave_last_out`",
        ),
        (
            "playlist_disjoint",
            "situations=[title]",
            "situations can be set only with `protocol: mpd_challenge`, not `playlist_disjoint`",
        ),
        (
            "leave_last_out",
            "situations=[title]",
            "situations can be set only with `protocol: mpd_challenge`, not `leave_last_out`: remove `situations`",
        ),
        (
            "playlist_disjoint",
            "faults=[item_zero]",
            "faults can be set only with `protocol: leave_last_out`, not `playlist_disjoint`: remove `faults`",
        ),
        (
            "mpd_challenge",
            "faults=[item_zero]",
            "faults can be set only with `protocol: leave_last_out`, not `mpd_challenge`: remove `faults`",
        ),
        (
            "item_cold",
            "shuffle_seeds=true",
            "shuffle_seeds=true can be set only with `protocol: global_time, leave_last_out, mpd_",
        ),
        (
            "leave_last_out",
            "equal_lists=drop",
            f"equal_lists='drop' can be set only with `protocol: {WHOLE}`, not `leave_last_out`",
        ),
        (
            "item_cold",
            "equal_lists=drop",
            f"equal_lists='drop' can be set only with `protocol: {WHOLE}`, not `item_cold`",
        ),
        (
            "leave_last_out",
            "strict_overlap=true",
            f"strict_overlap=true can be set only with `protocol: {ASKED}`, not `leave_last_out`",
        ),
        (
            "playlist_disjoint",
            "new_playlists=drop",
            "new_playlists='drop' can be set only with `protocol: global_time`, not `playlist_disjoint`: remove",
        ),
        (
            "item_cold",
            "split.valid_from=0.5",
            "split.valid_from=0.5 can be set only with `protocol: global_time`, not `item_cold`: remove `valid_from`",
        ),
        ("global_time", "split.folds=3", f"split.folds=3 can be set only with `protocol: {OTHERS}`, not `global_time`"),
        ("item_cold", "split.by=hash", f"split.by='hash' can be set only with `protocol: {DEALT}`, not `item_cold`"),
        (
            "leave_last_out",
            "split.folds=3",
            f"split.folds=3 can be set only with `protocol: {OTHERS}`, not `leave_last_out`",
        ),
        (
            "leave_last_out",
            "split.test_fold=1",
            f"split.test_fold=1 can be set only with `protocol: {OTHERS}`, not `leave_last_out`",
        ),
        (
            "leave_last_out",
            "split.valid_fraction=0.2",
            f"split.valid_fraction=0.2 can be set only with `protocol: {OTHERS}`, not `leave_last_out`",
        ),
        (
            "playlist_disjoint",
            "split={by: column, folds: 3}",
            "split: folds=3 can be set only with `by: auto` or `hash`, not `column`",
        ),
        ("item_cold", "split={field: part, folds: 3}", "split: folds=3 can be set only with `field: null`, not `part`"),
        (
            "playlist_disjoint",
            "split.field=part",
            "split.field='part' can be set only with `protocol: artist_disjoint or item_cold`, not `playlist",
        ),
        (
            "mpd_challenge",
            "situations=[title, first_5, title]",
            "situations must have unique values, but title is listed twice: remove one",
        ),
        (
            "leave_last_out",
            "faults=[item_zero, item_zero]",
            "faults must have unique values, but item_zero is listed twice: remove one",
        ),
        (
            "playlist_disjoint",
            "slices=[seeds, seeds]",
            "slices must have unique values, but seeds is listed twice: remove one",
        ),
        (
            "playlist_disjoint",
            "shown=0.70049",
            "shown=0.70049 must be a multiple of 0.001: set 0.7",
        ),
        (
            "item_cold",
            "split.valid_fraction=0.0001",
            "split.valid_fraction=0.0001 must be a multiple of 0.001",
        ),
    ],
)
def test_keys_that_the_protocol_does_not_read_raise(tmp_path: Path, protocol: str, given: str, message: str) -> None:
    with pytest.raises(RecipeError) as found:
        load(recipe(tmp_path), [f"evaluation.protocol={protocol}", f"evaluation.{given}"])
    line = str(found.value)
    assert f"evaluation.{message}" in line or f"evaluation: {message}" in line
    assert "\n" not in line


def test_setting_both_shown_and_seeds_raises(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError, match=r"evaluation\.split: shown=0\.5 can be set only with `seeds: null`, not `5`: remove shown"
    ):
        load(recipe(tmp_path), ["evaluation.split.seeds=5", "evaluation.split.shown=0.5"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "models.0.warmup_epochs=2",
            "models.0.warmup_epochs=2 can be set only with `train: warmup`, not `frozen`: remove"
            " `warmup_epochs`, or set the",
        ),
        (
            "models.0.negatives=64",
            "models.0.negatives=64 can be set only with `loss: gbce or sampled`, not `chunked`: remove"
            " `negatives`, or write",
        ),
        (
            "models.0={type: sasrec, loss: gbce, batch_negatives: false}",
            "models.0.batch_negatives=false can be set only with `loss: sampled`, not `gbce",
        ),
        (
            "models.0={type: sasrec, loss: full, log_q: false}",
            "models.0.log_q=false can be set only with `loss: sampled`, not `full`",
        ),
        (
            "models.0={type: sasrec, loss: sampled, gbce_t: 0.5}",
            "models.0.gbce_t=0.5 can be set only with `loss: gbce`, not `sampled`",
        ),
        (
            "models.0.match_weights=joint",
            "models.0.match_weights=joint can be set only with `match: true`, not `false`",
        ),
        ("models.0.mask_ratio=0.4", "models.0.mask_ratio=0.4 can be set only with `type: bert4rec`, not `sasrec`"),
        (
            "models.0={type: sasrec, modalities: [], train: finetune}",
            "models.0.train=finetune requires content, but this model uses ids",
        ),
        (
            "models.0={type: sasrec, id_start: cooccurrence, fusion: {id_embedding: false}}",
            "models.0.id_start=cooccurrence can be set only with `fusion.id_embedding: true`, not `false`",
        ),
        (
            "fusion.em_rank=8",
            "fusion.em_rank=8 can be set only with `missing: em`, not `mean`: remove `em_rank`, or set the"
            " default value, 32",
        ),
        (
            "fusion={id_embedding: false, id_dropout: 0.5}",
            "fusion.id_dropout=0.5 can be set only with `id_embedding: true`, not `false`",
        ),
        (
            "fusion.match_modalities=[audio]",
            "fusion.match_modalities=[audio] requires a model with `match: true`, but no model has this setting",
        ),
        (
            "models.0={type: sasrec, fusion: {em_rank: 8}}",
            "models.0.fusion.em_rank=8 can be set only with `missing: em`, not `mean`",
        ),
        (
            "titles={encoder: char-ngrams, field: title}",
            "titles=char-ngrams requires a model with `titles: true`, but no model has this setting",
        ),
        ("workers=2", "workers=2 requires `engine: ray`, not `local`"),
        (
            "coldstart.tags={field: genre, rows: [{vectors: audio}, {vectors: audio}]}",
            "coldstart.tags.rows must have unique values, but {vectors: audio} is listed twice",
        ),
        ("data.path=lists.csv", "lists.csv requires a reader of files, but reader demo generates data: remove `path`"),
        ("sweep={select: ndcg@50, over: {models.0.lr: [0.1, 0.1]}}", "sweep.over.models.0.lr lists 0.1 twice"),
    ],
)
def test_unread_keys_raise(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as found:
        load(recipe(tmp_path), [override])
    assert message in str(found.value) and "\n" not in str(found.value)


def test_unused_value_raises_with_line_number(tmp_path: Path) -> None:
    path = recipe(tmp_path, BASE + "evaluation:\n  protocol: item_cold\n  shown: 0.5\n")
    with pytest.raises(RecipeError, match=r"r\.yaml:10: evaluation\.shown=0\.5 can be set only with `protocol"):
        load(path)


@pytest.mark.parametrize(
    "overrides",
    [
        ["evaluation={protocol: leave_last_out, shown: 0.7, min_tracks: 10, seeds: null, equal_lists: stop}"],
        [
            "defaults={mask_ratio: 0.4, loss: sampled, negatives: 64}",
            "models=[{type: sasrec}, {type: bert4rec, loss: chunked}]",
        ],
        [
            "models=[{type: sasrec, match: true, match_weights: joint}, {type: sasrec, modalities: [], match_weights:"
            " joint}]"
        ],
        ["fusion={missing: em, em_rank: 8}", "models=[{type: sasrec}, {type: bert4rec, fusion: {missing: mean}}]"],
        ["models.0.negatives=64", "sweep={over: {models.0.loss: [chunked, sampled]}}"],
        ["models.0={type: sasrec, match: true}", "fusion.match_modalities=[words]"],
        ["models=[]", "fusion={id_embedding: false, id_dropout: 0.5}", "defaults={mask_ratio: 0.4}"],
    ],
)
def test_defaults_and_values_read_by_any_model_are_accepted(tmp_path: Path, overrides: list[str]) -> None:
    found = load(recipe(tmp_path), overrides)
    assert not list(unused_settings.find(found))


def test_sweep_over_an_unread_key_raises(tmp_path: Path) -> None:
    swept = load(recipe(tmp_path), ["sweep={over: {models.0.negatives: [4096, 64]}}"])
    trial(swept, {"models.0.negatives": 4096})
    with pytest.raises(
        RecipeError,
        match=r"sweep\.over models\.0\.negatives=64: models\.0\.negatives=64 can be set only with `loss: gbce"
        r" or sampled`",
    ):
        trial(swept, {"models.0.negatives": 64})
    assert trial(swept, {"models.0.negatives": 64, "models.0.loss": "chunked"}).models[0].loss.type == "chunked"
    assert trial(swept, {"models.0.negatives": 64, "models.0.loss": "sampled"}).models[0].loss == Sampled(negatives=64)


def test_best_sweep_recipe_has_defaults_for_unread_keys(tmp_path: Path) -> None:
    swept = load(recipe(tmp_path), ["models.0.negatives=64", "sweep={over: {models.0.loss: [chunked, sampled]}}"])
    assert swept.sweep is not None
    tried = swept.sweep.over["models.0.loss"]
    assert tried == ["chunked", {"type": "sampled", "negatives": 64}]
    best = [unused_settings.cleared(trial(swept, {"models.0.loss": loss})) for loss in tried]
    assert [one.models[0].loss for one in best] == [Chunked(), Sampled(negatives=64)]
    assert not list(unused_settings.find(best[0]))


def test_modalities_of_a_system_without_content_raise(tmp_path: Path) -> None:
    with pytest.raises(
        RecipeError,
        match=r"coldstart\.systems\.0\.modalities=\['audio'\] cannot be set because random-factors does not"
        r" read content",
    ):
        load(recipe(tmp_path), ["coldstart.systems=[{system: random-factors, modalities: [audio]}]"], parameters=True)


def test_share_finer_than_thousandths_raises() -> None:
    assert PlaylistDisjoint(shown=0.333).shown == 0.333
    with pytest.raises(InputError, match=r"set 0\.999"):
        PlaylistDisjoint(shown=0.9999)


def test_folds_with_a_split_in_the_data_raise() -> None:
    import numpy as np
    import pyarrow as pa

    from toolkit.corpus.arrays import Corpus

    names = [f"p{row}" for row in range(60)]
    lists = pa.table({"id": names, "title": names, "group": names, "split": ["train", "valid", "test"] * 20})
    tracks = pa.table({"id": [f"t{item}" for item in range(40)], "artist": ["a"] * 40})
    items = np.concatenate([(np.arange(8) * (1 + row % 4) + row) % 40 + 1 for row in range(60)]).astype(np.int32)
    corpus = Corpus(items, np.arange(0, 481, 8), tracks, lists)
    asked = PlaylistDisjoint(min_tracks=4, equal_lists="drop", folds=3)
    with pytest.raises(
        InputError, match=r"evaluation\.split\.folds=3 can be set only without a split column in the data"
    ):
        asked.split(corpus)
    assert len(asked.model_copy(update={"by": "hash"}).split(corpus).test)


def test_defaults_without_models_raise(tmp_path: Path) -> None:
    path = recipe(tmp_path, "data: {reader: demo}\ndefaults: {epochs: 3}\nbaselines: [popularity]\n")
    with pytest.raises(
        RecipeError, match=r"r\.yaml:2: defaults={epochs: 3} requires `models`, but the recipe has no models"
    ):
        load(path)


@pytest.mark.parametrize(
    "key", ["baselines: [popularity, 'no_module:Own']", "coldstart: {systems: [{system: 'no_module:Own'}]}"]
)
def test_unknown_ranker_class_raises_with_line_number(tmp_path: Path, key: str) -> None:
    with pytest.raises(RecipeError, match=r"r\.yaml:2: .*='no_module:Own' requires a module that cannot be found"):
        load(recipe(tmp_path, f"data: {{reader: demo}}\n{key}\n"))
