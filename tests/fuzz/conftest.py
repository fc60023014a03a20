"""Number of inputs that fuzz tests try."""

from __future__ import annotations

from collections.abc import Callable

import pytest

LONG = 50
"""Factor of the number of inputs with `--long`."""


@pytest.fixture
def tries(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """A function from the number of inputs in CI to the number of this run."""
    return lambda number: number * (LONG if request.config.getoption("--long") else 1)
