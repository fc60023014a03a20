"""Tests that protocols pass the contract, that broken protocols fail, and that old keys are converted."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from pydantic import Field, ValidationError

import segue
from segue.checks.check_protocol import check_protocol
from toolkit import pipeline, plugins
from toolkit.contracts.protocol import Protocol
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, PlaylistSet, Split
from toolkit.errors import OldForm
from toolkit.evaluation.protocols.global_time import GlobalTime
from toolkit.evaluation.protocols.item_cold import ItemCold
from toolkit.evaluation.protocols.leave_last_out import LeaveLastOut
from toolkit.evaluation.protocols.playlist_disjoint import PlaylistDisjoint
from toolkit.recipe import Evaluation
from toolkit.recipe.evaluation_section import FLAT, SPLIT, modern


class EveryTenth(Protocol):
    """Tests every tenth playlist and validates on the next. The first half of a playlist is shown."""

    type: str = "every_tenth"
    whole_lists: ClassVar[bool] = True
    offset: int = Field(0, ge=0, le=9)

    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        starts, ends = np.asarray(corpus.offsets[:-1]), np.asarray(corpus.offsets[1:])
        place = (np.arange(len(corpus)) - self.offset) % 10
        train, valid, test = (np.flatnonzero(where) for where in (place > 1, place == 1, place == 0))

        def held(rows: np.ndarray) -> HeldOut:
            return HeldOut(corpus, rows, starts[rows], (starts[rows] + ends[rows]) // 2, ends[rows])

        return Split(PlaylistSet(corpus, train, starts[train], ends[train]), held(valid), held(test))

    @property
    def shows_beginnings(self) -> bool:
        return True


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Return 200 playlists of 12 of 60 tracks by 20 artists, dated over 200 days."""
    generator = np.random.default_rng(3)
    names = [f"p{row}" for row in range(200)]
    lists = pa.table({"id": names, "title": names, "group": names, "split": pa.nulls(200, pa.string())})
    tracks = pa.table({"id": [f"t{item}" for item in range(60)], "artist": [f"a{item % 20}" for item in range(60)]})
    items = np.concatenate([generator.permutation(60)[:12] + 1 for _ in range(200)]).astype(np.int32)
    times = np.concatenate([np.arange(12) * 86_400 + row * 86_400 for row in range(200)]).astype(np.int64)
    return Corpus(items, np.arange(0, 2401, 12), tracks, lists, times=times)


@pytest.mark.parametrize("name", plugins.names("segue.protocols"))
def test_built_in_protocols_pass_check_protocol(name: str, corpus: Corpus) -> None:
    cls = plugins.load("segue.protocols", name)
    assert cls().type == name
    check_protocol(cls(), corpus)


@pytest.mark.parametrize(
    "protocol",
    [
        PlaylistDisjoint(by="hash", folds=3, test_fold="all"),
        PlaylistDisjoint(seeds=3, shuffle_seeds=True),
        LeaveLastOut(faults=["lost_tracks"]),
        GlobalTime(new_playlists="drop"),
        EveryTenth(offset=3),
    ],
)
def test_protocols_with_other_settings_pass_check_protocol(protocol: Protocol, corpus: Corpus) -> None:
    check_protocol(protocol.each_fold()[0] if protocol.each_fold() else protocol, corpus)


def test_protocol_that_reads_a_field_passes_check_protocol(corpus: Corpus) -> None:
    assert ItemCold(field="part").reads_field == "part" and ItemCold().reads_field is None
    check_protocol(
        ItemCold(field="part", min_tracks=2),
        corpus,
        ["test" if item < 6 else "valid" if item < 12 else "train" for item in range(60)],
    )


def broken(change: Callable[[Split], Split]) -> type[Protocol]:
    class Broken(EveryTenth):
        """Protocol whose split is changed by a function."""

        def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
            return change(super().split(corpus, given))

    return Broken


class Leaking(EveryTenth):
    """Protocol that trains on all playlists, including test playlists, and declares it."""

    whole_lists: ClassVar[bool] = False

    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        parts = super().split(corpus, given)
        starts, ends = np.asarray(corpus.offsets[:-1]), np.asarray(corpus.offsets[1:])
        return replace(parts, train=PlaylistSet(corpus, np.arange(len(corpus)), starts, ends))


class Cold(EveryTenth):
    """Protocol that declares cold tracks without holding tracks out."""

    cold: ClassVar[bool] = True


class Drawn(EveryTenth):
    """Protocol that returns a different split in each call."""

    def split(self, corpus: Corpus, given: Sequence[str | None] | None = None) -> Split:
        parts = super().split(corpus, given)
        return replace(parts, test=parts.test.take(np.random.default_rng().permutation(len(parts.test))))


class Folded(EveryTenth):
    """Protocol that tests the same playlists in each fold."""

    def each_fold(self) -> list[Any]:
        return [self.model_construct(**self.model_dump()), self.model_copy()] if type(self) is not EveryTenth else []


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (broken(lambda parts: replace(parts, test=parts.test.part(0, 0))), "the test part must not be empty"),
        (
            broken(lambda parts: replace(parts, test=replace(parts.test, ends=parts.test.cuts))),
            "test: every playlist must hide a track",
        ),
        (
            broken(lambda parts: replace(parts, train=parts.test.whole())),
            "whole_lists=True requires no test playlists in training, but 20 are",
        ),
        (
            broken(lambda parts: replace(parts, valid=replace(parts.valid, starts=parts.valid.starts + 1))),
            "shows_beginnings=True requires seeds from the first track",
        ),
        (Leaking, "training contains hidden valid tracks of .*segue.plugin.check_leaks"),
        (Cold, "cold=True requires no hidden"),
        (Drawn, "repeated calls must return the same split"),
        (Folded, "each_fold of a fold must be empty"),
    ],
)
def test_check_protocol_raises_for_broken_protocols(protocol: type[Protocol], message: str, corpus: Corpus) -> None:
    with pytest.raises(AssertionError, match=message):
        check_protocol(protocol(), corpus)


def test_recipe_accepts_a_protocol_as_name_mapping_path_or_object() -> None:
    assert Evaluation(split="leave_last_out").split == LeaveLastOut()
    assert (
        Evaluation(split={"folds": 3}).split == PlaylistDisjoint(folds=3) and Evaluation().split == PlaylistDisjoint()
    )
    path = f"{__name__}:EveryTenth"
    for given in ({"type": path, "offset": 3}, EveryTenth(offset=3)):
        made = Evaluation(split=given)
        assert isinstance(made.split, EveryTenth) and made.split.offset == 3
        assert made.model_dump(mode="json")["split"] == {"type": path, "offset": 3}
        assert Evaluation.model_validate(made.model_dump(mode="json")) == made
    with pytest.raises(ValidationError, match="is not a protocol: did you mean 'item_cold'"):
        Evaluation(split="item_colt")


def test_protocol_sets_default_metrics_and_cutoffs() -> None:
    assert Evaluation(split="mpd_challenge").k == [500] and Evaluation(split="mpd_challenge", k=[10]).k == [10]
    assert Evaluation(split="item_cold").metrics == ["recall", "ndcg"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            {"protocol": "leave_last_out"},
            {"split": "leave_last_out"},
            "`evaluation: {protocol: leave_last_out}` is the old form: write `evaluation: {split: leave_last_out}`",
        ),
        (
            {"protocol": "item_cold", "min_tracks": 5, "split": {"folds": 3}},
            {"split": {"type": "item_cold", "folds": 3, "min_tracks": 5}},
            "write `evaluation: {split: {type: item_cold, folds: 3, min_tracks: 5}}`",
        ),
        ({"shown": 0.5, "k": [5]}, {"split": {"shown": 0.5}, "k": [5]}, "write `evaluation: {split: {shown: 0.5}}`"),
        ({"protocol": "leave_last_out", **FLAT, "split": dict(SPLIT)}, {"split": "leave_last_out"}, "is the old form"),
        ({"protocol": "mpd_challenge", **FLAT, "split": dict(SPLIT)}, {"split": "mpd_challenge"}, "is the old form"),
    ],
)
def test_old_form_of_evaluation_loads_with_warning(old: dict[str, Any], new: dict[str, Any], sentence: str) -> None:
    with pytest.warns(OldForm) as told:
        made = Evaluation(**old)
    assert len(told) == 1 and sentence in str(told[0].message)
    assert made == Evaluation(**new)
    assert modern(modern(old)[0]) == (modern(old)[0], [])


def test_new_form_of_evaluation_loads_without_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in plugins.names("segue.protocols"):
            made = Evaluation(split=name)
            assert Evaluation.model_validate(made.model_dump(mode="json")) == made


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"protocol": "item_cold", "shown": 0.5},
            "can be set only with `protocol: global_time or playlist_disjoint`, not `item_cold`: remove `shown`",
        ),
        ({"protocol": "item_colt"}, "is not a protocol: did you mean 'item_cold'"),
        (
            {"protocol": "item_cold", "split": {"type": "global_time"}},
            "must not both be set: remove `protocol`, the old form",
        ),
        (
            {"shown": 0.5, "split": {"shown": 0.6}},
            "and split.shown=0.6 must not both be set: remove `shown`, the old form",
        ),
        ({"split": {"type": "leave_last_out", "folds": 3}}, "is not a key"),
    ],
)
def test_contradictory_old_and_new_keys_raise(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Evaluation(**given)


def test_leak_in_protocol_without_own_checks_raises(tmp_path: Path) -> None:
    data = segue.read_playlists(None, reader="demo", tracks=200, artists=40, playlists=60, fields=[], cache=tmp_path)
    assert len(data.split(EveryTenth()).test) == 6
    with pytest.raises(
        segue.LeakError,
        match="training contains hidden valid tracks of .*: end the training span before the hidden tracks",
    ):
        data.split(Leaking())
    with pytest.raises(segue.LeakError, match="training contains hidden valid tracks"):
        split = {"type": f"{__name__}:Leaking"}
        recipe = segue.Recipe.model_validate(
            {"data": {"reader": "demo"}, "baselines": ["popularity"], "evaluation": {"split": split}}
        )
        pipeline.run(recipe, tmp_path / "run", cache=tmp_path)
