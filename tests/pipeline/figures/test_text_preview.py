"""Tests of `segue encoders preview`, which shows a text after each cleaning and enrichment step."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import segue

PAGES = ["3 ContributorsRain Lyrics[Chorus]\nI'm singin' in the rain12Embed", "Rain on me", "Rain and sun", "Snow"]


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of a recipe with four lyrics copied from a lyrics site."""
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "lists.jsonl").write_text('{"id": "1", "tracks": ["t0", "t1", "t2", "t3"]}\n')
    tracks = [json.dumps({"id": f"t{number}", "lyrics": text}) for number, text in enumerate(PAGES)]
    (tmp_path / "tracks.jsonl").write_text("\n".join(tracks))
    recipe = tmp_path / "pages.yaml"
    recipe.write_text(
        "data:\n"
        "  reader: jsonl\n"
        "  path: lists.jsonl\n"
        "  options: {tracks: {file: tracks.jsonl, track: id, fields: {lyrics: lyrics}}}\n"
        "encoders:\n"
        "  words: {encoder: word2vec, field: lyrics, params: {min_count: 1, clean: {low_idf: 1.3}}}\n"
        "  plain: {encoder: tfidf, field: lyrics}\n"
        "baselines: [popularity]\n"
    )
    monkeypatch.chdir(tmp_path)
    return recipe


def test_encoders_preview_shows_the_text_after_each_step(pages: Path) -> None:
    rows = json.loads(segue("encoders", "preview", pages, "--json").stdout)
    assert [row["track"] for row in rows] == ["local:t0", "local:t1", "local:t3"] and {
        row["encoder"] for row in rows
    } == {"word2vec"}
    assert {step["step"]: step["text"] for step in rows[0]["steps"]} == {
        "as it is": PAGES[0],
        "artefacts": "I'm singin' in the rain",
        "dropped_g": "I'm singing in the rain",
        "misspellings": "I'm singing in the rain",
        "stop_words": "singing rain",
        "low_idf": "singing",
    }
    text = segue("encoders", "preview", pages, "-n", "1", "--length", "5").stdout
    assert (
        text.startswith("local:t0 · words · word2vec\n  as it is: 64 characters\n    | 3 Con… (64 characters)\n")
        and "misspellings: unchanged\n" in text
    )
    assert json.loads(segue("encoders", "--json").stdout), "without a command the encoders are listed"


def test_encoders_preview_can_be_limited_to_a_field_or_encoder(pages: Path) -> None:
    rows = json.loads(segue("encoders", "preview", pages, "--field", "lyrics", "--json").stdout)
    assert [step["step"] for step in rows[0]["steps"]][1:] == [
        "artefacts",
        "dropped_g",
        "misspellings",
        "stop_words",
        "low_idf",
    ]
    said = segue("encoders", "preview", pages, "--modality", "plain")
    assert (said.exit_code, said.stderr.splitlines()[-1]) == (
        2,
        "segue: encoder 'plain' does not clean or enrich texts: add `clean: true` to the params of an encoder,"
        " or pass --field",
    )
    assert "did you mean 'words'" in segue("encoders", "preview", pages, "--modality", "wods").stderr
    on = segue(
        "encoders", "preview", pages, "--modality", "plain", "--set", "encoders.plain.params.clean=true", "--json"
    )
    assert json.loads(on.stdout)[0]["encoder"] == "tfidf"
    assert "--field" not in segue("encoders", "preview", pages, "--field", "nonsense").stderr.splitlines()[-1]
