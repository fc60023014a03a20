"""`segue collect` and `segue library` as a user types them, in this process, with a stranger's sources."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from servers.facts import FactsServer, fill
from typer.testing import CliRunner

from toolkit.catalogue.store import Catalogue
from toolkit.cli import application


@pytest.fixture
def place(tmp_path: Path, plugin: None, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEGUE_CONTACT", "tests@example.org")
    with Catalogue.open(tmp_path / "library" / "catalogue.sqlite") as catalogue:
        fill(catalogue, 40)
    return str(tmp_path / "library")


def segue(*words: str) -> Any:
    return CliRunner().invoke(application(), list(words))


def collect(place: str, source: str, url: str, *more: str) -> Any:
    return segue("collect", "--library", place, "--source", source, "--param", f"base_url={url}", *more)


def test_from_nothing_to_a_parquet_file(place: str, tmp_path: Path) -> None:
    with FactsServer() as server:
        dry = collect(place, "facts", server.url, "--dry-run", "--param", "per_second=2")
        assert (dry.exit_code, server.log) == (0, [])
        assert "40 requests, 19 s at least" in dry.stdout
        words = collect(place, "facts", server.url, "--field", "words")
        lives = collect(place, "lives", server.url)
    assert words.stdout == "facts: 31 found, 4 absent, 5 ambiguous\n" and lives.stdout == "lives: 2 found\n"
    status = segue("library", "status", "--library", place).stdout
    assert "40/40 (100 %)  31 found, 4 absent, 5 ambiguous" in status
    table = segue("library", "coverage", "--library", place).stdout.splitlines()
    assert table[2] == "| biography | lives | artist | 2 | 2 | 0 | 0 | 0 | 0 | 0 | 100.0 % | 40 | 100.0 % |"
    rows = list(csv.DictReader(io.StringIO(segue("library", "coverage", "--library", place, "--format", "csv").stdout)))
    assert [(row["field"], row["found"], row["tracks_share"]) for row in rows] == [("biography", "2", "1.0"), ("words", "31", "0.775")]
    assert "| facts | yes | CC0-1.0 |" in segue("library", "terms", "--library", place).stdout
    out = tmp_path / "new" / "lives.parquet"
    assert segue("library", "export", "--library", place, "--field", "biography", "--out", str(out)).exit_code == 0
    written = pq.read_table(out)
    assert written.num_rows == 40 and written.column("value")[0].as_py() == "Artist 0 was born in year 1900."
    about = json.loads(written.schema.metadata[b"segue"])
    assert about["sources"][0]["terms"]["licence"] == "CC0-1.0" and about["sources"][0]["n"] == 40


def test_what_failed_can_be_asked_again(place: str) -> None:
    from servers import faults

    with FactsServer(faults=lambda number, asked: faults.status(500) if number == 0 else None) as server:
        collect(place, "lives", server.url)
        asked = len(server.log)
        again = collect(place, "lives", server.url, "--again", "found")
        assert (again.stdout, len(server.log)) == ("lives: 2 found\n", asked + 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["collect"], "nothing to collect: give a recipe, or --library DIR and --source NAME"),
        (["collect", "--library", "nowhere", "--source", "facts"], "nowhere holds no library"),
        (["collect", "--library", "{place}", "--source", "facs"], "did you mean 'facts'?"),
        (["collect", "--library", "{place}", "--source", "facts", "--field", "word"], "did you mean 'words'?"),
        (["collect", "--library", "{place}", "--source", "facts", "--param", "base_ur=x"], "base_ur is no key"),
        (["collect", "--library", "{place}", "--source", "facts", "--contact", "me"], "must be an e-mail address"),
        (["collect", "--library", "{place}", "--source", "facts", "--again", "lost"], "collect.again.0='lost'"),
        (["collect", "--library", "postgresql+psycopg://u@127.0.0.1:1/x", "--source", "facts"], "give --blobs DIR"),
        (["library", "export", "--library", "{place}", "--field", "lyric", "--out", "{place}/x.parquet"], "has no field 'lyric'"),
        (
            ["library", "export", "--library", "{place}", "--field", "title", "--out", "{place}/catalogue.sqlite/x.parquet"],
            "catalogue.sqlite/x.parquet cannot be written",
        ),
    ],
)
def test_what_is_wrong_is_one_line(words: list[str], said: str, place: str) -> None:
    done = segue(*(word.format(place=place) for word in words))
    assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_a_contact_is_asked_for(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUE_CONTACT")
    done = segue("collect", "--library", place, "--source", "facts")
    assert done.exit_code == 2 and "export SEGUE_CONTACT=" in done.stderr


RECIPE = """\
data: {{reader: demo, options: {{tracks: 200, artists: 40, playlists: 20, fields: []}}}}
collect:
  library: {library}
  {line}
baselines: [popularity]
"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("contct: me@example.org\n  sources: [facts]", "r.yaml:4: collect.contct is no key"),
        ("sources: [facs]", "did you mean 'facts'?"),
        ("sources: [{source: facts, fields: [word]}]", "facts does not give 'word': did you mean 'words'?"),
        ("sources: [{source: facts, params: {per_second: 0}}]", "facts: per_second=0 must be greater than 0"),
        ("sources: [{source: facts, params: {per_second: true}}]", "must be a number"),
    ],
)
def test_a_recipe_is_checked_before_anything_runs(line: str, said: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE.format(library=tmp_path / "new", line=line))
    done = segue("validate", str(tmp_path / "r.yaml"))
    assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "new").exists()


def test_a_recipe_fills_the_library_from_its_data(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with FactsServer() as server:
        line = f"sources: [{{source: lives, params: {{base_url: '{server.url}'}}}}]"
        (tmp_path / "r.yaml").write_text(RECIPE.format(library=tmp_path / "new", line=line))
        done = segue("collect", "r.yaml")
        again = segue("collect", "r.yaml")
        assert len(server.log) == 40
    assert (done.stdout, again.stdout) == ("lives: 35 found, 5 absent\n", "lives: nothing new\n"), done.stderr
    with Catalogue.open(tmp_path / "new" / "catalogue.sqlite") as library:
        assert library.counts()["tracks"] == 200 and library.counts()["fields"] == {"biography": 35}
