"""Tests that `docs/sources.md` agrees with the declarations of all sources."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sources.md").read_text(encoding="utf-8")
SECTIONS = {
    name: text for name, text in re.findall(r"^## `([a-z0-9-]+)`\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
TRAINING = {True: "Train: yes", False: "Train: no.", None: "Train: not stated"}
KEYLESS = {point.name: point for point in entry_points(group="segue.collectors") if point.name in SECTIONS}


def test_each_source_in_the_table_has_a_section():
    listed = re.findall(r"\(#([a-z0-9-]+)\)", PAGE.split("## ")[0])
    assert sorted(listed) == sorted(set(listed) & set(SECTIONS)) and len(listed) >= 12


@pytest.mark.parametrize("name", sorted(KEYLESS))
def test_section_agrees_with_the_source_declarations(name):
    source, text = KEYLESS[name].load(), " ".join(SECTIONS[name].split())
    assert all(f"`{field}`" in text for field in source.fields)
    parameters = set(source.Params.model_fields) - {"per_second"}
    assert all(f"`{parameter}`" in text or "as for `librosa`" in text for parameter in parameters)
    if name != "feature-table":  # there the one who has the table says so
        assert TRAINING[source.terms.train_allowed] in text
    if source.hosts:
        assert source.page in text and "Limit:" in text and "Terms:" in text
