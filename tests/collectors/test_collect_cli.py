"""Tests of the commands `segue collect` and `segue library` with plug-in sources."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from collectors.engine.ledger import LEDGER
from tests.command import segue
from tests.servers.facts import FactsServer, fill
from toolkit.catalogue.store import Catalogue


@pytest.fixture
def place(tmp_path: Path, plugin: None, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEGUE_CONTACT", "tests@example.org")
    with Catalogue.open(tmp_path / "library" / "catalogue.sqlite") as catalogue:
        fill(catalogue, 40)
    return str(tmp_path / "library")


def collect(place: str, source: str, url: str, *more: str) -> Any:
    return segue("collect", "--library", place, "--source", source, "--param", f"base_url={url}", *more)


def test_library_commands_show_and_export_collected_fields(place: str, tmp_path: Path) -> None:
    with FactsServer() as server:
        dry = collect(place, "facts", server.url, "--dry-run", "--param", "per_second=2")
        assert (dry.exit_code, server.log) == (0, [])
        assert "40 requests at most, 19.0 s at the hosts' pace" in dry.stdout
        words = collect(place, "facts", server.url, "--field", "words")
        lives = collect(place, "lives", server.url)
    assert words.stdout == "facts: 31 found, 4 absent, 5 ambiguous\n" and lives.stdout == "lives: 2 found\n"
    status = segue("library", "status", "--library", place).stdout
    assert "40/40 (100 %)  31 found, 4 absent, 5 ambiguous" in status
    table = segue("library", "coverage", "--library", place).stdout.splitlines()
    assert table[2] == "| biography | lives | artist | 2 | 2 | 0 | 0 | 0 | 0 | 0 | 100.0 % | 40 | 100.0 % |"
    rows = list(csv.DictReader(io.StringIO(segue("library", "coverage", "--library", place, "--format", "csv").stdout)))
    assert [(row["field"], row["found"], row["tracks_share"]) for row in rows] == [
        ("biography", "2", "1.0"),
        ("words", "31", "0.775"),
    ]
    assert "| facts | yes | CC0-1.0 |" in segue("library", "terms", "--library", place).stdout
    out = tmp_path / "new" / "lives.parquet"
    assert segue("library", "export", "--library", place, "--field", "biography", "--out", str(out)).exit_code == 0
    written = pq.read_table(out)
    assert written.num_rows == 40 and written.column("value")[0].as_py() == "Artist 0 was born in year 1900."
    about = json.loads(written.schema.metadata[b"segue"])
    assert about["sources"][0]["terms"]["licence"] == "CC0-1.0" and about["sources"][0]["n"] == 40


def test_csv_export_writes_terms_to_a_metadata_file(place: str, tmp_path: Path) -> None:
    with FactsServer() as server:
        for source in ("ids", "tags", "faces"):
            collect(place, source, server.url)
    out, picture = tmp_path / "new" / "mood.csv", tmp_path / "new" / "cover.csv"
    done = segue("library", "export", "--library", place, "--field", "mood", "--out", str(out))
    assert done.stdout == f"{out}: 40 tracks with mood\n"
    rows = list(csv.DictReader(out.open(encoding="utf-8", newline="")))
    assert rows[7] == {"id": "local:15", "title": "Title 15", "artist": "Artist 0", "value": rows[7]["value"]}
    assert json.loads(rows[7]["value"]) == pytest.approx([15 / 7, 0.5, -1.0], rel=1e-6)
    about = json.loads((tmp_path / "new" / "mood.csv-metadata.json").read_text(encoding="utf-8"))
    assert about["url"] == "mood.csv" and about["notes"][0]["sources"][0]["terms"]["licence"] == "CC0-1.0"
    refused = segue("library", "export", "--library", place, "--field", "cover", "--out", str(picture))
    assert refused.exit_code == 2 and "bytes cannot be written to CSV: pass --out NAME.parquet" in refused.stderr
    assert sorted(path.name for path in out.parent.iterdir()) == ["mood.csv", "mood.csv-metadata.json"]


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


def forecast(*words: str) -> list[tuple[str, int, str]]:
    """Return source, requests and time of each line of a dry run."""
    done = segue("collect", "--dry-run", *words)
    assert done.exit_code == 0, done.stderr
    lines = [
        re.match(r"(\S+(?: side by side)?) .*?([\d,]+) requests at most, (.*) at the hosts' pace", line)
        for line in done.stdout.splitlines()
    ]
    return [(line[1], int(line[2].replace(",", "")), line[3]) for line in lines if line]


def test_dry_run_counts_all_requests_per_answer(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forecast a library with 40 tracks, 4 albums and 2 artists, without a key or contact."""
    monkeypatch.delenv("GENIUS_ACCESS_TOKEN", raising=False)
    monkeypatch.delenv("SEGUE_CONTACT")
    before = files(tmp_path)
    assert forecast("--library", place, "--source", "lrclib") == [
        ("lrclib", 80, "7.0 s"),
        ("all side by side", 80, "7.0 s"),
    ]
    names = ("musicbrainz", "musicbrainz-tags", "wikipedia", "coverartarchive", "deezer", "genius")
    rows = forecast("--library", place, *(word for name in names for word in ("--source", name)))
    assert [(name, n) for name, n, _ in rows] == [
        *(
            ("musicbrainz", 80),
            ("musicbrainz-tags", 40),
            ("musicbrainz-tags", 2),
            ("wikipedia", 8),
            ("coverartarchive", 8),
        ),
        *(("deezer", 8), ("deezer", 120), ("genius", 80), ("genius", 80), ("all side by side", 426)),
    ]
    # one host of one request a second: 122 of both sources, the first at once
    assert (rows[0][2], rows[1][2], rows[-1][2]) == ("1 min 19 s", "39.0 s", "2 min 01 s")
    assert files(tmp_path) == before
    with Catalogue.open(Path(place) / "catalogue.sqlite") as catalogue:
        assert not catalogue.has(LEDGER)


def test_dry_run_counts_open_and_repeated_entries(place: str) -> None:
    with FactsServer() as server:
        url = ["--param", f"base_url={server.url}"]
        collect(place, "facts", server.url)
        assert forecast("--library", place, "--source", "facts", *url)[-1][1] == 0
        assert (
            forecast("--library", place, "--source", "facts", *url, "--again", "absent", "--again", "ambiguous")[-1][1]
            == 9
        )
        before = files(Path(place))
        assert forecast("--library", place, "--source", "lives", *url)[-1][1] == 2
        assert files(Path(place)) == before


def test_dry_run_of_a_recipe_prints_additions_and_writes_nothing(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for library, message in (("new", "does not exist and would be made with"), ("library", "would be completed with")):
        (tmp_path / "r.yaml").write_text(RECIPE.format(library=library, line="sources: [facts, lives]"))
        before = files(tmp_path)
        done = segue("collect", "r.yaml", "--dry-run")
        assert done.stdout.startswith(f"{library} {message} 200 tracks, "), done.stderr
        assert done.stdout.splitlines()[1].split()[:3] == ["facts", "words", "200" if library == "new" else "240"]
        assert files(tmp_path) == before


def test_status_of_an_empty_library_suggests_segue_collect(place: str) -> None:
    assert segue("library", "status", "--library", place).stdout.startswith(
        "nothing has been collected yet: run `segue collect`"
    )


def test_ledger_of_an_open_library_sends_no_queries(place: str) -> None:
    from sqlalchemy import event

    from collectors.engine.ledger import Ledger
    from collectors.library import open_library

    seen: list[str] = []
    with open_library(place) as library:
        event.listen(library.engine, "before_cursor_execute", lambda *given: seen.append(given[2]))
        Ledger(library, "a")
        assert seen == []


def test_option_again_repeats_requests_with_the_status(place: str) -> None:
    from tests.servers import faults

    with FactsServer(faults=lambda number, request: faults.status(500) if number == 0 else None) as server:
        collect(place, "lives", server.url)
        requests = len(server.log)
        again = collect(place, "lives", server.url, "--again", "found")
        assert (again.stdout, len(server.log)) == ("lives: 2 found\n", requests + 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["collect"], "collecting requires a recipe or a source: pass RECIPE, or --library DIR and --source NAME"),
        (["collect", "--library", "nowhere", "--source", "facts"], "nowhere must be a library"),
        (["collect", "--library", "{place}", "--source", "facs"], "did you mean 'facts'?"),
        (["collect", "--library", "{place}", "--source", "facts", "--field", "word"], "did you mean 'words'?"),
        (["collect", "--library", "{place}", "--source", "facts", "--param", "base_ur=x"], "base_ur is not a key"),
        (["collect", "--library", "{place}", "--source", "facts", "--contact", "me"], "must be an e-mail address"),
        (["collect", "--library", "{place}", "--source", "facts", "--again", "lost"], "collect.again.0='lost'"),
        (["collect", "--library", "postgresql+psycopg://u@127.0.0.1:1/x", "--source", "facts"], "pass --blobs DIR"),
        (
            ["library", "export", "--library", "{place}", "--field", "lyric", "--out", "{place}/x.parquet"],
            "has no field 'lyric'",
        ),
        (
            ["library", "export", "--library", "{place}", "--field", "title", "--out", "x.xlsx"],
            "x.xlsx must end in .parquet or .csv",
        ),
        (
            [
                "library",
                "export",
                "--library",
                "{place}",
                "--field",
                "title",
                "--out",
                "{place}/catalogue.sqlite/x.parquet",
            ],
            "catalogue.sqlite/x.parquet must be writable",
        ),
    ],
)
def test_invalid_options_error_is_one_line(words: list[str], message: str, place: str) -> None:
    done = segue(*(word.format(place=place) for word in words))
    assert done.exit_code == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_missing_contact_raises(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGUE_CONTACT")
    done = segue("collect", "--library", place, "--source", "facts")
    assert done.exit_code == 2 and "export SEGUE_CONTACT=" in done.stderr


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("facts", "export SEGUE_CONTACT="),
        ("genius", "requires GENIUS_ACCESS_TOKEN"),
        ("{source: lrclib, params: {per_second: 99}}", "must be <= 10"),
    ],
)
def test_missing_contact_or_key_raises_before_data_is_read(
    source: str, message: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SEGUE_CONTACT")
    monkeypatch.delenv("GENIUS_ACCESS_TOKEN", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.yaml").write_text(RECIPE.format(library="new", line=f"sources: [{source}]"))
    before = files(tmp_path)
    done = segue("collect", "r.yaml")
    assert done.exit_code == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert files(tmp_path) == before


RECIPE = """\
data: {{reader: demo, options: {{tracks: 200, artists: 40, playlists: 20, fields: []}}}}
collect:
  library: {library}
  {line}
baselines: [popularity]
"""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("contct: me@example.org\n  sources: [facts]", "r.yaml:4: collect.contct is not a key"),
        ("sources: [facs]", "did you mean 'facts'?"),
        ("sources: [{source: facts, fields: [word]}]", "source 'facts' has no field 'word': did you mean 'words'?"),
        ("sources: [{source: facts, params: {per_second: 0}}]", "facts: per_second=0 must be greater than 0"),
        ("sources: [{source: facts, params: {per_second: true}}]", "must be a number"),
    ],
)
def test_validate_rejects_an_invalid_collect_section(line: str, message: str, place: str, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(RECIPE.format(library=tmp_path / "new", line=line))
    done = segue("validate", str(tmp_path / "r.yaml"))
    assert done.exit_code == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "new").exists()


def test_collect_with_a_recipe_adds_tracks_in_the_recipe_data(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
