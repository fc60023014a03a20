"""Tests that a command that was killed gives the results of an unbroken command when it is called again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kill_suite import COMMANDS, series


@pytest.mark.parametrize("name", ["run", "convert"])
def test_killed_command_gives_the_results_of_an_unbroken_one(name: str, tmp_path: Path) -> None:
    outcome = series(name, 1, tmp_path)

    assert outcome.faults == []
    assert outcome.tries == 1


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_command_killed_many_times_gives_the_results_of_an_unbroken_one(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if not request.config.getoption("--long"):
        pytest.skip("takes minutes: pass --long")

    outcome = series(name, 10, tmp_path)

    assert outcome.faults == []
    assert outcome.kills > 0
