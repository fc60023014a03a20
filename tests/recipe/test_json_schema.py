"""Tests of the JSON Schema for recipes that editors read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from toolkit.recipe.json_schema import schema

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    made = schema()
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


def test_published_schema_is_up_to_date():
    published = json.loads((ROOT / "docs" / "recipe.schema.json").read_text(encoding="utf-8"))
    assert published == schema(), "run: segue schema > docs/recipe.schema.json"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_all_project_recipes_match_the_schema(path: Path, validator: Draft202012Validator):
    errors = [
        error.message
        for error in validator.iter_errors(YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")))
    ]
    assert errors == []


@pytest.mark.parametrize(
    ("recipe", "fault"),
    [
        ({}, "required"),
        ({"data": {"reader": "demo"}, "modles": []}, "modles"),
        ({"data": {"reader": "demo"}, "models": [{"type": "sasrec", "dropout": 1.5}]}, "1.5"),
        ({"data": {"reader": "demo"}, "evaluation": {"splt": {}}}, "splt"),
    ],
)
def test_schema_rejects_invalid_recipes(recipe: dict, fault: str, validator: Draft202012Validator):
    assert any(fault in f"{error.message} {error.validator} {error.context}" for error in validator.iter_errors(recipe))
