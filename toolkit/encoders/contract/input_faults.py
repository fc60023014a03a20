"""Errors about encoder inputs."""

from __future__ import annotations

from toolkit.errors import DataError, InputError


class BadInput(DataError):
    """Error for an invalid input in a batch. The caller knows the track and adds its id.

    - index: position of the input in the batch passed to `fit` or `transform`.
    - why: reason that completes the sentence "track x …", such as "has a damaged picture".
    """

    def __init__(self, index: int, why: str) -> None:
        super().__init__(f"input {index} {why}")
        self.index = index
        self.why = why


def needs_targets(name: str) -> InputError:
    """Return the error for a supervised encoder that is fitted without targets."""
    return InputError(
        f"encoder {name!r} requires targets because it is supervised: pass factors or labels [n, t] to "
        "fit(inputs, targets)"
    )


def not_fitted(name: str) -> InputError:
    """Return the error for an encoder that is used before `fit`."""
    return InputError(f"encoder {name!r} must be fitted before use: call fit(inputs) or load(directory) first")
