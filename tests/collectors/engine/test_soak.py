"""Test of a small `benchmarks/soak.py` run with kills and faults."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


def test_catalogue_after_kills_and_faults_equals_an_undisturbed_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Path(__file__).parents[3] / "benchmarks" / "soak.py"
    spec = importlib.util.spec_from_file_location("soak", place)
    assert spec and spec.loader
    monkeypatch.setattr(sys, "path", list(sys.path))
    soak = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "soak", soak)
    spec.loader.exec_module(soak)
    shown = soak.soak(tmp_path, tracks=100, kills=3, share=0.1, per_second=100)
    assert shown["kills"] == 3 and shown["faults"] >= 15
    assert shown["catalogue_equal"]
    assert shown["kept_answers_asked_again"] == 0
    assert shown["answers_lost_to_kills"] <= 3 * 5 * 8  # at most those handed to threads
    assert shown["most_in_a_second"] <= 100
