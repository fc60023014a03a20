"""An input that an encoder cannot read, by its place in the batch; whoever knows the track's id adds it."""

from __future__ import annotations

from toolkit.errors import DataError, InputError


class BadInput(DataError):
    """One input of a batch breaks its kind's rules.

    index: its place in what `fit` or `transform` was given; `why` says what is wrong with it.
    """

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"input {index} {why}")
        self.index = index
        self.why = why


def needs_targets(name: str) -> InputError:
    """What a supervised encoder says where there is nothing to learn to predict."""
    return InputError(
        f"encoder {name!r} learns to predict targets, and there are none: give fit(inputs, targets) factors or labels [n, t]"
    )


def not_fitted(name: str) -> InputError:
    """What an encoder that learns says when it is asked before `fit`."""
    return InputError(f"encoder {name!r} has not learned anything yet: call fit(inputs) or load(directory) first")
