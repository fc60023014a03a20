"""Tests of the checks that `segue validate` and `segue run` make before a run starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segue as api
from tests.command import segue
from toolkit import packages
from toolkit.catalogue.readers.csv import CsvReader
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.records import Field, PlaylistRecord, Record, TrackRecord
from toolkit.errors import RecipeError
from toolkit.packages import RECBOLE, Package
from toolkit.pipeline.run import preflight
from toolkit.recipe import load

ROOT = Path(__file__).parents[3]
ROWS = [(p, f"t{(p + t * (1 + p // 20)) % 20}") for p in range(30) for t in range(6)]
SPLIT = "evaluation: {split: {min_tracks: 4}, k: [3], bootstrap: 20}\nbaselines: [popularity]\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Change to a folder with playlists in four formats and a table of tracks."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))
    Path("lists.csv").write_text("playlist_id,track_id,mood\n" + "".join(f"{p},{t},calm\n" for p, t in ROWS))
    Path("tracks.csv").write_text("track_id,title,energy\n" + "".join(f"t{t},Song {t},0.{t}\n" for t in range(20)))
    lists = [{"id": str(p), "tracks": [{"id": f"t{t}", "name": f"Song {t}"} for t in range(6)]} for p in range(30)]
    Path("lists.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lists))
    pq.write_table(pa.table({"playlist_id": [p for p, _ in ROWS], "track_id": [t for _, t in ROWS]}), "lists.parquet")
    Path("mine.inter").write_text("list:token\ttrack:token\n" + "".join(f"{p}\t{t}\n" for p, t in ROWS))
    Path("mine.item").write_text("track:token\tgenre:token_seq\n" + "".join(f"t{t}\trock\n" for t in range(20)))
    return tmp_path


def recipe(data: str, more: str = "") -> Path:
    rest = "\n".join(line for line in SPLIT.splitlines() if line.partition(":")[0] not in more)
    Path("r.yaml").write_text(f"data: {data}\n{more}{rest}\n")
    return Path("r.yaml")


def lines(path: Path) -> list[str]:
    """Return the errors of `segue validate` without program name and folder."""
    found = segue("validate", path)
    assert found.exit_code == (2 if found.stderr else 0), found.output
    return [line.removeprefix("segue: ").replace(f"{Path.cwd()}/", "") for line in found.stderr.splitlines()]


@pytest.mark.parametrize(
    ("data", "line"),
    [
        ("{reader: csv, path: lists.csv}", None),
        (
            "{reader: csv, path: lists.csv, options: {playlist: playlist}}",
            "data.options: lists.csv has no column 'playlist' (option playlist): did you mean 'playlist_id'?",
        ),
        (
            "{reader: csv, path: lists.csv, options: {time: added}}",
            "data.options: lists.csv has no column 'added' (option time): columns: playlist_id, track_id, mood",
        ),
        (
            "{reader: csv, path: lists.csv, options: {fields: {mood: moods}}}",
            "data.options: lists.csv has no column 'moods' (option fields.mood): did you mean 'mood'?",
        ),
        (
            "{reader: csv, path: lists.csv, filters: {require: {titel: {}}}, options: {tracks: {file: tracks.csv}}}",
            "data.filters.require.titel='titel' is a field that no track has: did you mean title?",
        ),
        (
            "{reader: csv, path: lists.csv, options: {tracks: {file: gone.csv}}}",
            "data.options: gone.csv does not exist: correct the path",
        ),
        (
            "{reader: csv, path: lists.csv, options: {tracks: {file: tracks.csv, title: name}}}",
            "data.options: tracks.csv has no column 'name' (option title): columns: track_id, title, energy",
        ),
        (
            "{reader: csv, path: gone.csv}",
            "data.path: gone.csv does not exist: correct the path, or put the data there",
        ),
        ("{path: lists.csv, options: {playlst: x}}", "data: data.options.playlst is not a key: did you mean playlist?"),
        ("{reader: jsonl, path: lists.jsonl}", None),
        (
            "{reader: jsonl, path: lists.jsonl, options: {items: songs}}",
            "data.options: lists.jsonl has no key 'songs' (option items): columns: id, tracks",
        ),
        (
            "{reader: jsonl, path: lists.jsonl, options: {group: of}}",
            "data.options: lists.jsonl has no key 'of' in any line: correct the reader's options",
        ),
        ("{reader: parquet, path: lists.parquet}", None),
        (
            "{reader: parquet, path: lists.parquet, options: {track: song}}",
            "data.options: lists.parquet has no column 'song' (option track): columns: playlist_id, track_id",
        ),
        ("{reader: recbole, path: mine.inter}", None),
        (
            "{reader: recbole, path: mine.inter, options: {playlist: lst}}",
            "data.options: mine.inter has no column 'lst' (option playlist): did you mean 'list'?",
        ),
    ],
)
def test_validate_reports_missing_files_and_columns(here: Path, data: str, line: str | None) -> None:
    assert lines(recipe(data)) == ([] if line is None else [f"r.yaml:1: {line}"])


TABLES = "{reader: csv, path: lists.csv, options: {tracks: {file: tracks.csv, features: {sound: [energy]}}}}"


@pytest.mark.parametrize(
    ("data", "field", "near"),
    [
        (TABLES, "sound", None),
        (TABLES, "title", None),
        (TABLES, "id", None),
        (TABLES, "sund", "did you mean sound?"),
        (TABLES, "artist", "use one of id, sound, title"),
        ("{reader: csv, path: lists.csv, options: {fields: {mood: mood}}}", "moods", "did you mean mood?"),
        ("{reader: jsonl, path: lists.jsonl, options: {title: name}}", "title", None),
        ("{reader: jsonl, path: lists.jsonl, options: {title: name}}", "artist", "use one of id, title"),
        ("{reader: jsonl, path: lists.jsonl, options: {fields: {lyrics: text}}}", "lyrics", "use one of id"),
        ("{reader: parquet, path: lists.parquet}", "title", "use one of id"),
        ("{reader: recbole, path: mine.inter}", "genre", None),
        ("{reader: recbole, path: mine.inter}", "genres", "did you mean genre?"),
        ("{reader: demo}", "lyrics", None),
        (
            "{reader: demo, options: {fields: [lyrics]}}",
            "biography",
            "use one of album, album_id, artist, ",
        ),
    ],
)
def test_validate_reports_unknown_encoder_fields(here: Path, data: str, field: str, near: str | None) -> None:
    path = recipe(data, f"encoders: {{x: {{encoder: tfidf, field: {field}}}}}\nmodels: [{{type: sasrec}}]\n")
    found = lines(path)
    if near is None:
        assert found == []
    else:
        assert len(found) == 1 and found[0].startswith(
            f"r.yaml:2: encoders.x.field={field!r} is a field that no track has: {near}"
        )


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (
            'encoders: {x: {encoder: tfidf, field: "{title} by {artst}"}}\nmodels: [{type: sasrec}]\n',
            "encoders.x.field='{title} by {artst}' reads artst, a field that no track has: ",
        ),
        (
            'encoders: {x: {encoder: tfidf, field: "{title"}}\nmodels: [{type: sasrec}]\n',
            "encoders.x.field: field template '{title' is invalid (",
        ),
        (
            "encoders: {x: {encoder: text-classifier, field: title, targets: {field: genre}}}\nmodels: "
            "[{type: sasrec}]\n",
            "encoders.x.targets.field='genre' is a field that no track has: ",
        ),
        (
            "coldstart: {tags: {field: tags, rows: [{vectors: factors}]}}\n",
            "coldstart.tags.field='tags' is a field that no track has: ",
        ),
    ],
)
def test_validate_reports_unknown_fields_in_other_keys(here: Path, more: str, line: str) -> None:
    found = lines(recipe(TABLES, more))
    assert len(found) == 1 and found[0].partition(": ")[2].startswith(line)


def test_validate_reports_unknown_fields_of_splits_and_rankers(here: Path) -> None:
    Path("r.yaml").write_text(
        "data: {reader: csv, path: lists.csv}\nbaselines: [genre-popularity]\nevaluation: {split: {type: "
        "item_cold, field: part}}\n"
    )
    assert lines(Path("r.yaml")) == [
        "r.yaml:3: evaluation.split.field='part' is a field that no track has: use one of id",
        "r.yaml:2: baselines.0='genre-popularity' reads genres or genre or tags, a field that no track "
        "has: use one of id",
    ]


def test_validate_skips_unused_encoders(here: Path) -> None:
    encoders = "encoders: {x: {encoder: tfidf, field: gone}, y: {encoder: tfidf, field: title}}\n"
    assert lines(recipe(TABLES, f"{encoders}models: [{{type: sasrec, modalities: [y]}}]\n")) == []


class Plain(Reader):
    """Third-party reader that yields two songs, one with words, and does not declare its fields."""

    name = "plain"
    songs: ClassVar[int] = 3
    read_so_far: ClassVar[int] = 0

    def read(self) -> Iterator[Record]:
        for song in range(self.songs):
            type(self).read_so_far += 1
            yield TrackRecord(f"local:{song}", fields={"words": Field("la la", "mine", train_allowed=True)})
        for playlist in range(20):
            yield PlaylistRecord(str(playlist), ["local:0", "local:1"])

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return False


class Needy(Plain):
    requires = (Package("no_such_module", "pip install no-such-module"),)


class Long(Plain):
    songs = 1_000_000


@pytest.mark.parametrize(("kind", "certain"), [("Plain", True), ("Long", False)])
def test_undeclared_reader_fields_are_sampled_from_records(here: Path, kind: str, certain: bool) -> None:
    data = f"{{reader: 'tests.pipeline.run.test_preflight:{kind}', path: lists.csv}}"
    assert lines(recipe(data, "encoders: {x: {encoder: tfidf, field: words}}\nmodels: [{type: sasrec}]\n")) == []
    found = segue("validate", recipe(data, "encoders: {x: {encoder: tfidf, field: wrds}}\nmodels: [{type: sasrec}]\n"))
    if certain:
        assert found.exit_code == 2
        assert (
            found.stderr
            == "segue: r.yaml:2: encoders.x.field='wrds' is a field that no track has: did you mean words?\n"
        )
    else:
        assert found.exit_code == 0 and found.stdout.startswith("r.yaml is valid\n") and Long.read_so_far < 3000
        assert found.stderr == (
            "segue: warning: r.yaml:2: encoders.x.field='wrds' is a field that none of the first 1,000 records has:"
            " correct it, unless a later track has it (did you mean words?)\n"
        )


def test_validate_reports_the_missing_package_of_a_reader(here: Path) -> None:
    assert lines(recipe("{reader: 'tests.pipeline.run.test_preflight:Needy', path: lists.csv}")) == [
        "r.yaml:1: data.reader='plain' needs no_such_module, which is not installed: pip install no-such-module"
    ]


COLLECT = """\
collect: {library: lib, sources: [{source: local-covers, fields: [cover]}]}
encoders: {x: {encoder: image-vae, field: FIELD}}
models: [{type: sasrec}]
"""


def test_collected_fields_are_known_to_validate(here: Path) -> None:
    from toolkit.plugins import load as plugin
    from toolkit.plugins import names

    source = next(name for name in names("segue.collectors") if "cover" in plugin("segue.collectors", name).fields)
    text = COLLECT.replace("local-covers", source)
    assert lines(recipe(TABLES, text.replace("FIELD", "cover"))) == []
    assert "did you mean cover?" in lines(recipe(TABLES, text.replace("FIELD", "covers")))[0]


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that makes a package appear not installed."""

    def hide(module: str) -> None:
        real = packages.util.find_spec
        monkeypatch.setattr(
            packages.util, "find_spec", lambda name, *rest: None if name == module else real(name, *rest)
        )

    return hide


@pytest.mark.parametrize(
    ("module", "more", "line"),
    [
        (
            "recbole",
            "models: [{type: sasrec}, {type: hstu}, {type: bert4rec}]\n",
            "models.0.type='sasrec' needs recbole (so does 1 other), which is not installed: pip install "
            "--no-deps recbole==1.2.1",
        ),
        (
            "recbole",
            "models: [{type: gru4rec}]\n",
            "models.0.type='gru4rec' needs recbole, which is not installed: pip install --no-deps recbole==1.2.1",
        ),
        ("recbole", "models: [{type: hstu}, {type: ligr}]\n", None),
        (
            "gensim",
            "encoders: {x: {encoder: word2vec, field: title}}\nmodels: [{type: hstu}]\n",
            "encoders.x.encoder='word2vec' needs gensim, which is not installed: pip install 'segue[text]'",
        ),
        (
            "lightgbm",
            "baselines: [two-stage, popularity]\n",
            "baselines.0='two-stage' needs lightgbm, which is not installed: pip install 'segue[trees]'",
        ),
        (
            "implicit",
            "baselines: [popularity, ials]\n",
            "baselines.1='ials' needs implicit, which is not installed: pip install 'segue[factors]'",
        ),
        (
            "implicit",
            "encoders: {x: {encoder: text-classifier, field: title, targets: {factors: 8}}}\nmodels: [{type: hstu}]\n",
            "encoders.x.targets.factors=8 needs implicit, which is not installed: pip install 'segue[factors]'",
        ),
        (
            "umap",
            "report: {map_by: umap}\n",
            "report.map_by='umap' needs umap, which is not installed: pip install 'segue[umap]'",
        ),
    ],
)
def test_validate_reports_packages_that_are_not_installed(
    here: Path, without: Callable[[str], None], module: str, more: str, line: str | None
) -> None:
    without(module)
    found = lines(recipe(TABLES, more))
    assert [each.partition(": ")[2] for each in found] == ([] if line is None else [line])


def test_packages_with_the_same_install_command_are_one_error(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, hidden = packages.util.find_spec, {"soundfile", "soxr", "librosa", "sklearn"}
    monkeypatch.setattr(packages.util, "find_spec", lambda name, *rest: None if name in hidden else real(name, *rest))
    data = "{reader: csv, path: lists.csv, options: {audio: {sound: mood}}}"
    found = lines(recipe(data, "encoders: {x: {encoder: mfcc-words, field: sound}}\nmodels: [{type: hstu}]\n"))
    assert found == [
        "r.yaml:2: encoders.x.encoder='mfcc-words' needs soundfile, soxr, librosa and sklearn, which are not installed:"
        " pip install 'segue[audio]'"
    ]


def test_stock_baselines_require_recbole(without: Callable[[str], None]) -> None:
    from toolkit.plugins import names
    from toolkit.ranker_registry import ranker_class

    stock = [name for name in names("segue.rankers") if name.startswith("recbole-")]
    assert len(stock) == 4 and all(ranker_class(name).requires == (RECBOLE,) for name in stock)
    without("recbole")
    assert RECBOLE.fault == "is not installed: pip install --no-deps recbole==1.2.1"


def test_package_with_wrong_or_unknown_version_raises() -> None:
    assert Package("pytest", "pip install pytest==0.1", "0.1").fault.endswith(
        "and must be 0.1: pip install pytest==0.1"
    )
    assert Package("json", "python", "9").fault == "" and Package("no_such_module", "x").fault == "is not installed: x"


def test_validate_reports_missing_weights_with_their_key(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(here / "hub"))
    encoders = (
        "encoders:\n  words: {encoder: word-vectors, field: title}\n"
        "  glove: {encoder: word-vectors, field: title, params: {path: gone.txt}}\n"
        "  mine: {encoder: vectors, params: {file: gone.npz}}\n"
        "  text: {encoder: sentence-bert, field: title, params: {model: nobody/nothing}}\n"
        "models: [{type: hstu}]\n"
    )
    found = segue("validate", recipe(TABLES, encoders))
    assert found.exit_code == 2
    told = [line.removeprefix("segue: ") for line in found.stderr.splitlines()]
    assert told[0].startswith("r.yaml:3: encoders.words.params.path: word-vectors requires path: set path to a GloVe")
    assert told[1].startswith("r.yaml:4: encoders.glove: path='gone.txt' must be a file: pass a GloVe")
    assert told[2].startswith("r.yaml:5: encoders.mine: gone.npz does not exist: pass the path")
    assert told[3].startswith(
        "r.yaml:6: encoders.text.params.model='nobody/nothing' is not a folder or an installed model package"
    )
    assert told[3].endswith("or run `hf download nobody/nothing`") and len(told) == 4


def test_missing_weights_are_a_warning_with_on_missing_weights_skip(here: Path) -> None:
    path = recipe(
        TABLES,
        "on_missing_weights: skip\nencoders: {words: {encoder: word-vectors, field: title}}\nmodels: [{type: hstu}]\n",
    )
    found = segue("validate", path)
    assert found.exit_code == 0 and found.stderr.startswith(
        "segue: warning: r.yaml:3: encoders.words.params.path: word-vectors requires path"
    )


def test_preflight_does_not_read_vector_values(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.encoders.features import vectors

    np.savez("mine.npz", ids=np.array(["t1"]), matrix=np.zeros((1, 2), np.float32))
    monkeypatch.setattr(vectors, "read", lambda named: pytest.fail("the file was read"))
    assert (
        lines(
            recipe(TABLES, "encoders: {mine: {encoder: vectors, params: {file: mine.npz}}}\nmodels: [{type: hstu}]\n")
        )
        == []
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_validate_reports_an_unreadable_data_path(here: Path) -> None:
    Path("lists.csv").chmod(0)
    assert lines(recipe("{reader: csv, path: lists.csv}"))[0].startswith(
        "r.yaml:1: data.path: lists.csv cannot be read (permission denied): "
    )


def test_preflight_problems_returns_lines_in_python(here: Path) -> None:
    path = recipe("{reader: csv, path: lists.csv, options: {track: song}}")
    assert preflight.problems(load(path)) == [
        f"data.options: {here}/lists.csv has no column 'song' (option track): columns: playlist_id, track_id, mood"
    ]
    assert all(finding.certain for finding in preflight.findings(load(path)))


def test_run_with_preflight_errors_writes_nothing(here: Path, without: Callable[[str], None]) -> None:
    without("recbole")
    path = recipe(TABLES, "models: [{type: sasrec}]\nencoders: {x: {encoder: tfidf, field: gone}}\n")
    found = segue("run", path, "--out", "out")
    assert found.exit_code == 2 and not Path("out").exists() and not Path("cache").exists()
    assert found.stderr == (
        "segue: r.yaml:2: models.0.type='sasrec' needs recbole, which is not installed: pip install "
        "--no-deps recbole==1.2.1"
        " (and 1 more: `segue validate` lists them)\n"
    )
    with pytest.raises(RecipeError, match=r"^r.yaml:2: models\.0\.type='sasrec' needs recbole"):
        api.run("r.yaml", "out")
    with pytest.raises(RecipeError, match=r"^models\.0\.type='sasrec' needs recbole"):
        api.run(load(path), "out")


def test_validate_reads_only_the_header_of_tables(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit.catalogue.readers.tables.delimited import DelimitedFile

    monkeypatch.setattr(DelimitedFile, "rows", lambda self: pytest.fail("rows were read"))
    assert lines(recipe(TABLES, "encoders: {x: {encoder: tfidf, field: title}}\nmodels: [{type: hstu}]\n")) == []
    assert CsvReader(Path("lists.csv")).fields_offered() == set()


def test_validate_does_not_import_torch_unless_required(here: Path) -> None:
    path = recipe(TABLES, "encoders: {x: {encoder: tfidf, field: title}}\nmodels: [{type: sasrec}]\n")
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom segue.commands.application import application\n"
        f"found = CliRunner().invoke(application(), ['validate', {str(path)!r}])\n"
        "print(found.exit_code, [name for name in ('torch', 'recbole', 'transformers') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "0 []\n"
