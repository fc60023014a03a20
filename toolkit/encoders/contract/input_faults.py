"""Errors about the inputs of an encoder."""

from __future__ import annotations

from toolkit.errors import DataError, InputError


class BadInput(DataError):
    """One input of a batch breaks the rules of its kind. The caller, which knows the track, adds its id.

    - index: index of the input in the batch that `fit` or `transform` received.
    - why: what is wrong with it, as the end of a sentence: "has a damaged picture".
    """

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"input {index} {why}")
        self.index = index
        self.why = why


def needs_targets(name: str) -> InputError:
    """The error of a supervised encoder that is fitted without targets."""
    return InputError(
        f"encoder {name!r} learns to predict targets, and there are none: give fit(inputs, targets) factors or labels "
        "[n, t]"
    )


def not_fitted(name: str) -> InputError:
    """The error of an encoder that is used before `fit`."""
    return InputError(f"encoder {name!r} has not learned anything yet: call fit(inputs) or load(directory) first")
