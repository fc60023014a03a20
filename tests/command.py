"""`segue …` inside the test's own process."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from segue.commands.application import application


def segue(*args: str | Path) -> Result:
    return CliRunner().invoke(application(), [str(arg) for arg in args])
