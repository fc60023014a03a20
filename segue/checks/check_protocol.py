"""Conformance suite for protocols, for authors of plug-ins. The built-in protocols pass it too.

    from segue.plugin import check_protocol

    def test_contract():
        check_protocol(EveryTenth(offset=3))

The message of a failed assert names the violated rule of `segue.plugin.Protocol`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from segue.checks.example_data import example_data
from toolkit.contracts.protocol import Protocol
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.splits import HeldOut, Split
from toolkit.errors import LeakError
from toolkit.evaluation.leaks import parts_of


def check_protocol(protocol: Protocol, corpus: Corpus | None = None, given: Sequence[str | None] | None = None) -> None:
    """Check a protocol against its contract. Raises `AssertionError` at the first violated rule.

    - corpus: a corpus that the protocol can split; default: the 80 playlists of `example_data`.
    - given: value of the field that the protocol reads for each track, if it reads one.
    """
    _check_declaration(protocol)
    corpus = example_data()[0].train.corpus if corpus is None else corpus
    parts = protocol.split(corpus, given)
    assert isinstance(parts, Split), f"split returned {type(parts).__name__} and must return segue.plugin.Split"
    assert len(parts.train), "the training part must not be empty: raise InputError with a cure"
    for name, held in (("valid", parts.valid), ("test", parts.test)):
        _check_held_out(name, held)
        _check_promises(protocol, parts, name, held)
    _check_leaks(protocol, corpus, given)
    _check_same(parts, protocol.split(corpus, given))
    _check_folds(protocol, corpus)


def _check_declaration(protocol: Protocol) -> None:
    cls = type(protocol)
    assert (cls.__doc__ or "").strip(), (
        f"{cls.__name__} must have a docstring: add a sentence, which `segue list protocols` prints"
    )
    again = cls.model_validate(protocol.model_dump(mode="json"))
    assert again == protocol, f"{protocol!r} must be unchanged by a recipe: use only strings, numbers and booleans"
    assert cls.default_k and cls.default_metrics, "default_k and default_metrics must not be empty"


def _check_held_out(name: str, held: HeldOut) -> None:
    assert len(held), f"the {name} part must not be empty: raise InputError with a cure"
    ordered = (held.starts <= held.cuts).all() and (held.cuts <= held.begins).all() and (held.begins <= held.ends).all()
    assert ordered, f"{name}: spans must satisfy starts <= cuts <= begins <= ends"
    assert (np.diff(held.hidden()[1]) > 0).all(), f"{name}: every playlist must hide a track: remove the others"


def _check_leaks(protocol: Protocol, corpus: Corpus, given: Sequence[str | None] | None) -> None:
    try:
        parts_of(protocol, corpus, given)
    except LeakError as error:
        raise AssertionError(f"{error} (call segue.plugin.check_leaks in split)") from None


def _check_promises(protocol: Protocol, parts: Split, name: str, held: HeldOut) -> None:
    """Check that the split has the properties that the protocol declares."""
    if protocol.whole_lists:
        groups = np.intersect1d(held.groups(), parts.train.corpus.groups[parts.train.rows])
        cut = parts.cuts is not None  # a playlist that continues after the cut is in training up to the cut
        assert cut or not len(groups), (
            f"whole_lists=True requires no {name} playlists in training, but {len(groups)} are: set whole_lists=False"
        )
    if protocol.cold:
        counts = parts.train.counts()
        known = int((counts[held.hidden()[0]] > 0).sum())
        assert not known, f"cold=True requires no hidden {name} tracks in training, but {known} are: set cold=False"
    if protocol.shows_beginnings:
        starts = np.asarray(held.corpus.offsets[:-1])[held.rows]
        same = held.placements is None and np.array_equal(held.starts, starts)
        assert same, f"shows_beginnings=True requires seeds from the first track in {name}: return False"


def _check_same(first: Split, second: Split) -> None:
    for name, one, other in (("valid", first.valid, second.valid), ("test", first.test, second.test)):
        same = np.array_equal(one.rows, other.rows) and all(map(np.array_equal, one.hidden(), other.hidden()))
        assert same, f"{name}: repeated calls must return the same split: draw by a fixed seed or a hash"


def _check_folds(protocol: Protocol, corpus: Corpus) -> None:
    assert all(not fold.each_fold() for fold in protocol.each_fold()), (
        "each_fold of a fold must be empty: return protocols of a single split"
    )
    tested = [set(fold.split(corpus).test.groups().tolist()) for fold in protocol.each_fold()]
    twice = sum(len(groups & other) for fold, groups in enumerate(tested) for other in tested[:fold])
    assert not twice, f"{twice} playlists are tested in several folds: test each playlist in one fold"
