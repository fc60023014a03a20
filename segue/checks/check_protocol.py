"""The protocol contract as a test suite for authors of plug-ins. The built-in protocols pass it.

    from segue.plugin import check_protocol

    def test_contract():
        check_protocol(EveryTenth(offset=3))

The message of a failed assert names the rule of `segue.plugin.Protocol` that is broken.
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
    """Check a protocol against its contract. Raises `AssertionError` for the first rule that it breaks.

    - corpus: a corpus that the protocol can split; default: the 80 playlists of `example_data`.
    - given: value of the field that the protocol reads for each track, if it reads one.
    """
    _check_declaration(protocol)
    corpus = example_data()[0].train.corpus if corpus is None else corpus
    parts = protocol.split(corpus, given)
    assert isinstance(parts, Split), f"split must return a segue.plugin.Split, not {type(parts).__name__}"
    assert len(parts.train), "the training part is empty: raise InputError that says what to change"
    for name, held in (("valid", parts.valid), ("test", parts.test)):
        _check_held_out(name, held)
        _check_promises(protocol, parts, name, held)
    _check_leaks(protocol, corpus, given)
    _check_same(parts, protocol.split(corpus, given))
    _check_folds(protocol, corpus)


def _check_declaration(protocol: Protocol) -> None:
    cls = type(protocol)
    assert (cls.__doc__ or "").strip(), f"{cls.__name__} needs a docstring of one sentence: lists of protocols print it"
    again = cls.model_validate(protocol.model_dump(mode="json"))
    assert again == protocol, f"{protocol!r} is not the same once written to a recipe and read again"
    assert cls.default_k and cls.default_metrics, "default_k and default_metrics must name at least one each"


def _check_held_out(name: str, held: HeldOut) -> None:
    assert len(held), f"the {name} part is empty: raise InputError that says what to change"
    ordered = (held.starts <= held.cuts).all() and (held.cuts <= held.begins).all() and (held.begins <= held.ends).all()
    assert ordered, f"{name}: spans must be starts <= cuts <= begins <= ends"
    assert (np.diff(held.hidden()[1]) > 0).all(), f"{name}: a playlist hides nothing, so it has no value: leave it out"


def _check_leaks(protocol: Protocol, corpus: Corpus, given: Sequence[str | None] | None) -> None:
    try:
        parts_of(protocol, corpus, given)
    except LeakError as error:
        raise AssertionError(f"{error}; segue.plugin.check_leaks finds this before the split is returned") from None


def _check_promises(protocol: Protocol, parts: Split, name: str, held: HeldOut) -> None:
    """The split is as the protocol declares."""
    if protocol.whole_lists:
        groups = np.intersect1d(held.groups(), parts.train.corpus.groups[parts.train.rows])
        cut = parts.cuts is not None  # a playlist that continues after the cut is in training up to the cut
        assert cut or not len(groups), (
            f"whole_lists is True, and {len(groups)} {name} playlists, or versions of them, are in training"
        )
    if protocol.cold:
        counts = parts.train.counts()
        known = int((counts[held.hidden()[0]] > 0).sum())
        assert not known, f"cold is True, and {known} hidden tracks of {name} have a placement in training"
    if protocol.shows_beginnings:
        starts = np.asarray(held.corpus.offsets[:-1])[held.rows]
        same = held.placements is None and np.array_equal(held.starts, starts)
        assert same, f"shows_beginnings is True, and a {name} playlist is not shown from its first track"


def _check_same(first: Split, second: Split) -> None:
    for name, one, other in (("valid", first.valid, second.valid), ("test", first.test, second.test)):
        same = np.array_equal(one.rows, other.rows) and all(map(np.array_equal, one.hidden(), other.hidden()))
        assert same, f"{name}: a second call gives another split: draw by a fixed seed or a hash"


def _check_folds(protocol: Protocol, corpus: Corpus) -> None:
    assert all(not fold.each_fold() for fold in protocol.each_fold()), (
        "a fold must be one split: its own each_fold is empty"
    )
    tested = [set(fold.split(corpus).test.groups().tolist()) for fold in protocol.each_fold()]
    twice = sum(len(groups & other) for fold, groups in enumerate(tested) for other in tested[:fold])
    assert not twice, f"{twice} playlists are tested in more than one fold"
