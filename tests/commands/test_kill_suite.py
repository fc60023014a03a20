"""Tests that a command that was killed gives the results of an unbroken command when it is called again."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.kill_suite import COMMANDS, Outcome, series

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads the state of a process from /proc")


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Mapping[str, Outcome]:
    """Return the outcome of each command, killed once, or ten times with `--long`."""
    folder, kills = tmp_path_factory.mktemp("kills"), 10 if request.config.getoption("--long") else 1
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(COMMANDS, pool.map(lambda name: series(name, kills, folder), COMMANDS), strict=True))


@pytest.mark.parametrize("name", COMMANDS)
def test_killed_command_gives_the_results_of_an_unbroken_one(name: str, outcomes: Mapping[str, Outcome]) -> None:
    assert outcomes[name].faults == []
    assert outcomes[name].kills > 0
