"""Tests of bad input at the command line, which must exit with status 2 and one line on stderr."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from segue.commands.continue_ import _split as split_ids
from tests.command import segue

LISTS = "playlist_id,track_id,energy\n" + "".join(
    f"{p},{(p + t * (1 + p // 20)) % 20},0.5\n" for p in range(30) for t in range(6)
)
RECIPE = """\
data: {reader: csv, path: lists.csv}
baselines: [popularity]
evaluation: {split: {min_tracks: 4}, k: [3], bootstrap: 20}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEGUE_CACHE", str(tmp_path / "cache"))
    Path("lists.csv").write_text(LISTS)
    Path("r.yaml").write_text(RECIPE)
    return tmp_path


NOTES = ("·", "the split withholds", "validation has ", "test has ")


def refused(*args: str) -> str:
    """Return the one line that the command prints before exiting with status 2."""
    found = segue(*args)
    lines = [line for line in found.stderr.splitlines() if not line.startswith(NOTES)]
    assert found.exit_code == 2, found.output
    assert len(lines) == 1 and lines[0].startswith("segue: ") and found.stdout == ""
    return lines[0]


def content(text: str | bytes) -> Callable[[], None]:
    return lambda: (Path("lists.csv").write_bytes(text.encode() if isinstance(text, str) else text), None)[1]


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("change", "overrides", "message"),
    [
        (lambda: Path("r.yaml").unlink(), [], "r.yaml does not exist"),
        (
            lambda: Path("r.yaml").write_text("data: {raeder: csv}"),
            [],
            "r.yaml:1: data.raeder is not a key: did you mean reader?",
        ),
        (lambda: Path("lists.csv").unlink(), [], "lists.csv does not exist: correct the path"),
        (nothing, ["data.reader=cvs"], "'cvs' is not a reader: did you mean csv?"),
        (nothing, ["data.options.playlst=x"], "data.options.playlst is not a key: did you mean playlist?"),
        (nothing, ["data.options.playlist=list"], "has no column 'list'"),
        (nothing, [f"data.options.playlist={'list' * 99}"], "has no column 'listlist"),
        (
            lambda: os.mkfifo("pipe.csv"),
            ["data.path=pipe.csv"],
            "pipe.csv must be a file or folder because the data is read more than once",
        ),
        pytest.param(
            lambda: Path("mem.csv").symlink_to("/proc/self/mem"),
            ["data.path=mem.csv"],
            "cannot be read (Input/output error)",
            marks=pytest.mark.skipif(
                not Path("/proc/self/mem").exists(), reason="no file here that opens and cannot be read"
            ),
        ),
        (nothing, ["baselines=[ease, popularty]"], "'popularty' is not a ranker: did you mean popularity?"),
        (nothing, ["baselines=[{name: ease, params: {l2: 1}}]"], "baselines.0.params.l2 is not a key"),
        (
            nothing,
            ["baselines=[content-centroid]"],
            "baselines.0='content-centroid' requires encoders to rank by content: add `encoders`",
        ),
        (
            nothing,
            ["baselines=[transrec]"],
            "baselines.0='transrec' ranks only for training playlists, but playlist_disjoint holds out other"
            " playlists: use"
            " transrec-global",
        ),
        (nothing, ["device=cuda:7"], "device"),
        (nothing, ["name=../up"], "name='../up' must be one line without '/'"),
        (nothing, ["name=.cache"], "or a leading '.'"),
        (nothing, ["name=' '"], "name=' ' must be one line"),
        (nothing, ["data.path=~nobody-of-this-name/x"], "must be a valid path"),
        (nothing, ['data.path="a\\0b"'], "must be a valid path (embedded null byte)"),
        (nothing, ["threads=100000"], "threads=100000 must be less than or equal to 1024"),
        (nothing, ["evaluation.k=[99999999999]"], "must contain only values from 1 to 100000"),
        (
            nothing,
            ["evaluation.split.seeds=9999999999999999999"],
            "split.seeds=9999999999999999999 must be less than or equal to",
        ),
        (
            nothing,
            ["evaluation.bootstrap=99999999999"],
            "evaluation.bootstrap=99999999999 must be less than or equal to 100000",
        ),
        (nothing, ["seeds=[1, 1]"], "--set seeds=[1, 1]: seeds must have unique values, but 1 is listed twice"),
        (lambda: Path("r.yaml").write_text("x" * 9999), [], f"not the value '{'x' * 59}…"),
        (
            lambda: Path("r.yaml").write_text("# " + "x" * 1_000_000),
            [],
            "r.yaml has 1,000,002 bytes, but a recipe must have at most 1,000,000",
        ),
        (
            nothing,
            ["evaluation.split.seeds=70"],
            "seeds=70, split by auto: reduce evaluation.split.min_tracks or seeds",
        ),
        (nothing, ["device=tpu"], "device='tpu' must be one of auto, cpu, cuda"),
        (nothing, ["evaluation.split.min_tracks=60"], "split is empty: 30 playlists, min_tracks=60"),
        (nothing, ["evaluation.split.by=column"], "all playlists must have a split (30 are missing): set"),
        (nothing, ["data.filters.min_playlist_length=99"], "min_playlist_length"),
        (nothing, ["encoders={x: {encoder: features, field: energi}}", "baselines=[content-centroid]"], "energi"),
        (content(""), [], "lists.csv"),
        (content("playlist_id,track_id\n"), [], "lists.csv"),
        (content("playlist_id,track_id\n1\n"), [], "lists.csv"),
        (content(b"playlist_id,track_id\n1,\xff\xfe\n"), [], "lists.csv"),
        (content(b"\x1f\x8b\x08\x00broken"), [], "lists.csv"),
        (content("a,b\n1,2\n"), [], "lists.csv"),
    ],
)
def test_invalid_recipe_exits_with_2_and_one_line(
    here: Path, change: Callable[[], None], overrides: list[str], message: str
) -> None:
    change()
    line = refused("run", "r.yaml", "--out", "out", *(part for override in overrides for part in ("--set", override)))
    assert message in line
    assert not list(here.glob("cache/corpora/*/ingest.json")) or "split" in line or "energi" in line


PARTS = ("train", "valid", "test")
DEALT = "playlist_id,track_id,group,split,artist,part\n" + "".join(
    f"{p},t{t + p},g{p},{ {8: 'valid', 9: 'test'}.get(p % 10, 'train') },a{(t + p) // 2},{PARTS[(t + p) % 3]}\n"
    for p in range(30)
    for t in range(8)
)
"""Thirty lists dealt by a column; tracks have parts of their own, which artists share."""
COPY = "".join(f"99,t{t + 29},g99,train,a{(t + 29) // 2},train\n" for t in range(8))
FIELDS = ["data.options={group: group, split: split, fields: {part: part}}"]
COLD = [
    "evaluation.split.type=artist_disjoint",
    "evaluation.split.field=part",
    "data.permission={allowed: true, reason: mine}",
]


@pytest.mark.parametrize(
    ("lists", "overrides", "message"),
    [
        (
            DEALT.replace(",g29,", ",g0,"),
            [],
            "'0' in train and '29' in test are versions of the same playlist (1 in total): move all versions",
        ),
        (
            DEALT + COPY,
            [],
            "'99' in train and '29' in test have the same tracks (1 in train in total): assign both to the"
            " same group, or set",
        ),
        (
            DEALT + COPY,
            COLD,
            "is in train and in test (6 such artists): use one part per artist in evaluation.split.field",
        ),
        (
            DEALT,
            ["evaluation.split.strict_overlap=true"],
            "share more than half of their tracks with a training playlist, but `strict_",
        ),
    ],
)
def test_leak_between_splits_exits_with_2(here: Path, lists: str, overrides: list[str], message: str) -> None:
    Path("lists.csv").write_text(lists)
    line = refused("run", "r.yaml", "--out", "out", *(part for one in [*FIELDS, *overrides] for part in ("--set", one)))
    assert message in line


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["validate", "."], "cannot be read (Is a directory)"),
        (["data", "info", "none.csv"], "none.csv does not exist"),
        (["data", "info", "/dev/null", "--reader", "csv"], "/dev/null must be a file or folder"),
        (["data", "info", "lists.csv", "--reader", "mp3"], "'mp3' is not a reader"),
        (
            ["data", "info", "lists.csv", "--option", "track"],
            "--option track must have the form key=value: write, for example, --option playlist=list_id",
        ),
        (["data", "info", "lists.csv", "--option", "track=song"], "has no column 'song'"),
        (["continue", ".", "--tracks", "a"], "is not a run directory"),
        (["continue", "none", "--tracks", "a"], "none is not a run directory"),
        (["run", "r.yaml", "--out", "."], "exists and is not a run directory"),
        (["run", "r.yaml", "--out", "lists.csv/x"], "lists.csv/x cannot be read or written (Not a directory)"),
        (["run", "r.yaml", "--out", "x" * 300], "cannot be read or written (File name too long)"),
        (["run", "r.yaml", "--out", "lists.csv"], "exists and is not a run directory"),
    ],
)
def test_invalid_arguments_exit_with_2_and_one_line(here: Path, args: list[str], message: str) -> None:
    before = sorted(path.name for path in here.iterdir())
    assert message in refused(*args)
    assert sorted(path.name for path in here.iterdir()) == before


def test_non_numeric_values_raise_with_row_number(here: Path) -> None:
    Path("lists.csv").write_text(LISTS.replace("0.5", "nan", 1))
    line = refused(
        "run",
        "r.yaml",
        "--out",
        "out",
        "--set",
        "data.options.features={sound: [energy]}",
        "--set",
        "encoders={s: {encoder: features, field: sound}}",
        "--set",
        "data.permission={allowed: true, reason: mine}",
    )
    assert "lists.csv" in line and "energy" in line


def test_rejected_recipe_can_be_corrected_in_the_same_folder(here: Path) -> None:
    refused("run", "r.yaml", "--out", "out", "--set", "evaluation.split.min_tracks=60")
    found = segue("run", "r.yaml", "--out", "out")
    assert found.exit_code == 0, found.stderr
    assert "min_tracks: 4" in Path("out/recipe.yaml").read_text()
    assert "evaluation.split.min_tracks was 4, is 5" in refused(
        "run", "r.yaml", "--out", "out", "--set", "evaluation.split.min_tracks=5"
    )


def test_k_that_reaches_all_tracks_is_a_warning(here: Path) -> None:
    found = segue("run", "r.yaml", "--out", "out", "--set", "evaluation.k=[3, 20]")
    assert found.exit_code == 0 and "evaluation.k=[20] reaches all 20 tracks" in found.stderr


def test_thousands_of_excluded_ids_are_matched_in_one_pass() -> None:
    class Counted(dict[str, int]):
        asked = 0

        def __contains__(self, id: object) -> bool:
            self.asked += 1
            return super().__contains__(id)

    ids = [f"local:{n}" for n in range(3000)]
    known = Counted.fromkeys([*ids, "local:a, b"], 1)
    assert split_ids([",".join([*ids, "local:a, b"])], known) == [*ids, "local:a, b"] and known.asked < 4000


def test_continue_accepts_ids_with_commas(here: Path) -> None:
    Path("lists.csv").write_text(
        "playlist_id,track_id\n"
        + "".join(f'{p},"local:Cash, {(p + t * (1 + p // 20)) % 20}, live.mp3"\n' for p in range(30) for t in range(6))
    )
    assert segue("run", "r.yaml", "--out", "out").exit_code == 0
    given = ["--tracks", "local:Cash, 1, live.mp3,local:Cash, 2, live.mp3", "--exclude", "local:Cash, 3, live.mp3"]
    found = segue("continue", "out", *given, "-k", "17", "--format", "json")
    named = {track["id"] for track in json.loads(found.stdout)}
    assert found.stderr == "" and named == {f"local:Cash, {n}, live.mp3" for n in range(20) if n not in (1, 2, 3)}
