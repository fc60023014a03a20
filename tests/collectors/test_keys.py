"""Tests of finding keys and of removing keys from texts."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from collectors.keys import Keys, Scrubber
from toolkit.errors import InputError


def test_keys_are_read_from_environment_then_file_then_keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "keys").write_text("A_KEY=of-the-file\nB_KEY=${HOME}-as-it-is\n")
    ring = ModuleType("keyring")
    ring.errors = SimpleNamespace(KeyringError=RuntimeError)  # type: ignore[attr-defined]
    ring.get_password = lambda service, name: f"{service}-{name}" if name == "C_KEY" else None
    monkeypatch.setitem(sys.modules, "keyring", ring)
    keys = Keys({"A_KEY": "of-the-environment", "SEGUE_ENV_FILE": str(tmp_path / "keys")})
    assert keys.of("x", ["A_KEY", "B_KEY", "C_KEY"], ["D_KEY"]) == {
        "A_KEY": "of-the-environment",
        "B_KEY": "${HOME}-as-it-is",
        "C_KEY": "segue-C_KEY",
    }
    with pytest.raises(InputError, match="source 'x' requires D_KEY and E_KEY"):
        keys.of("x", ["A_KEY", "D_KEY", "E_KEY"])


def test_env_file_inside_a_repository_raises(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".env").write_text("A_KEY=x\n")
    with pytest.raises(InputError, match="must be outside the repository"):
        Keys({"SEGUE_ENV_FILE": str(tmp_path / "deep" / ".env")})
    with pytest.raises(InputError, match="must be an existing file"):
        Keys({"SEGUE_ENV_FILE": str(tmp_path / "nothing")})


def test_scrubber_hides_plain_and_url_quoted_keys(caplog: pytest.LogCaptureFixture) -> None:
    scrub = Scrubber(["ab/c d+é", "ab/c", "x"])
    assert scrub("GET ?k=ab%2Fc%20d%2B%C3%A9&l=ab%2Fc+d%2B%C3%A9 ab/c d+é ab/c x") == "GET ?k=***&l=*** *** *** x"
    before = logging.getLogRecordFactory()
    with scrub.logs():
        logging.getLogger("httpx").warning("HTTP Request: %s", "https://a.invalid/?k=ab%2Fc")
    assert caplog.messages == ["HTTP Request: https://a.invalid/?k=***"] and logging.getLogRecordFactory() is before
