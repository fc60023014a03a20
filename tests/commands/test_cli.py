"""Tests of the command line: output, exit codes, and fast help."""

from __future__ import annotations

import inspect
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from segue.commands import application
from segue.commands.bench import bench_table
from segue.commands.terminal_tables import continuation_table, print_whole, result_table, situation_tables
from tests.command import segue
from tests.report.run_files import metric_row
from toolkit import run_directory
from toolkit.continuation import Next
from toolkit.errors import InputError, SegueError
from toolkit.evaluation.protocols.playlist_disjoint import PlaylistDisjoint

BENCHED = ("clicks", "novelty@50", "ndcg@50")
SEGUE = [sys.executable, "-m", "segue"]

LISTS = "playlist_id,track_id,title\n" + "".join(f"{p},{t},Title {t}\n" for p in range(4) for t in range(p, p + 3))


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    path = tmp_path / "lists.csv"
    path.write_text(LISTS)
    return path


def test_help_lists_commands_without_heavy_imports() -> None:
    heavy = ["torch", "pandas", "numpy", "pyarrow", "matplotlib", "transformers", "sqlalchemy", "recbole"]
    code = (
        "import sys; from segue.commands.application import main\ntry: main()\n"
        f"except SystemExit: print([m for m in {heavy} if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"
    assert all(f"\n  {name} " in found.stdout for name in ("run", "continue", "validate", "encoders", "data"))


def test_version_is_printed() -> None:
    assert segue("--version").output == "segue 0.1.0\n"


def test_run_prints_table_and_next_command(tiny_run: Path, tiny_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEGUE_CACHE", str(tiny_cache))
    found = segue("run", tiny_run / run_directory.RECIPE, "--out", tiny_run)
    assert found.exit_code == 0
    lines = found.stdout.splitlines()
    metrics = json.loads((tiny_run / run_directory.METRICS).read_text())
    row = next(
        r
        for r in metrics
        if (r["system"], r["split"], r["slice"], r["metric"], r["k"]) == ("popularity", "test", "all", "recall", 5)
    )
    printed = next(at for at, line in enumerate(lines) if line.startswith("popularity"))
    assert lines[printed].split()[1] == f"{row['value']:.4f}"
    assert lines[printed + 1].split()[0] == f"{row['ci_low']:.3f}–{row['ci_high']:.3f}"
    bound = next(at for at, line in enumerate(lines) if line.startswith("upper-bound"))
    assert "oracle" in lines[bound + 1] and not lines[bound - 1].strip(), "oracles stand apart"
    assert f"report    {tiny_run / run_directory.REPORT}" in lines
    command = next(line for line in lines if line.startswith("try next")).split()[2:]
    assert command[:3] == ["segue", "continue", str(tiny_run)]
    assert segue(*command[1:]).exit_code == 0


def test_narrow_terminal_does_not_truncate_numbers(tiny_run: Path) -> None:
    console = Console(file=io.StringIO(), width=40)
    print_whole(console, result_table(json.loads((tiny_run / run_directory.METRICS).read_text()), {}))
    assert "sasrec-multimodal" in console.file.getvalue() and "…" not in console.file.getvalue()


def test_clicks_and_novelty_are_printed_with_metric_decimals() -> None:
    rows = [
        metric_row("popularity", 3.14159, metric="clicks", k=None, ci_low=2.71828, ci_high=4.5),
        metric_row("popularity", 11.23456, metric="novelty", k=50, ci_low=None, ci_high=None),
        metric_row("popularity", 0.25, ci_low=0.24, ci_high=0.26),
    ]
    values = {
        f"test all {name}": [row["value"], row["ci_low"], row["ci_high"]]
        for name, row in zip(BENCHED, rows, strict=True)
    }
    costs = {
        "fit_seconds": 1.0,
        "evaluate_seconds": 1.0,
        "peak_mb": 10.0,
        "params": {},
        "oracle": False,
        "underfit": False,
    }
    benched = {"tuned_for": "valid ndcg@50", "budget": 1, "rows": [{"system": "popularity", "values": values, **costs}]}
    for table in (result_table(rows, {}), bench_table(benched)):
        console = Console(file=io.StringIO(), width=40)
        print_whole(console, table)
        printed = " ".join(console.file.getvalue().split())
        assert "3.14 11.23 0.2500" in printed and "2.72–4.50" in printed and "0.240–0.260" in printed


def test_titles_not_in_terminal_encoding_are_escaped() -> None:
    ascii_only = os.environ | {"PYTHONIOENCODING": "ascii"}
    found = subprocess.run([*SEGUE, "encoders"], capture_output=True, text=True, env=ascii_only)
    assert found.returncode == 0 and "\\xe4" in found.stdout


def test_control_characters_in_titles_are_escaped() -> None:
    table = continuation_table([Next("local:1", "\x1b[31mred\x07\nand \u202eleft", "שיר", None, 1.0)], system="ease")
    out = io.StringIO()
    Console(file=out, width=200).print(table)
    assert (
        r"\x1b[31mred\x07 and \u202eleft" in out.getvalue() and "שיר" in out.getvalue() and "\x1b" not in out.getvalue()
    )


def test_control_characters_in_ids_are_escaped_in_run_output(
    lists: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    evil = "\x1b]0;owned\x07"
    rows = [
        f"{p},{evil if (p + t) % 5 else ''}{(p + t * (1 + p // 20)) % 20},{evil}" for p in range(30) for t in range(6)
    ]
    Path("lists.csv").write_text("\n".join(["playlist_id,track_id,title", *rows]))
    Path("r.yaml").write_text(
        "data: {reader: csv, path: lists.csv}\nbaselines: [item-knn]\n"
        "evaluation: {split: {min_tracks: 4}, k: [3], bootstrap: 20}\n"
    )
    ran = segue("run", "r.yaml", "--out", "out")
    continued = segue("continue", "out", "--tracks", "local:nothing")
    Path("lists.csv").write_text("\n".join(["playlist_id,track_id,split", f"1,a,{evil}", f"2,a,{evil}"]))
    counted = segue("data", "info", "lists.csv")
    assert ran.exit_code == counted.exit_code == 0 and continued.exit_code == 2
    assert (
        "try next  segue continue out --tracks local:" in ran.stdout
        and r"\x1b]0;owned\x07" in continued.stderr + counted.stdout
    )
    for printed in (ran, continued, counted):
        assert "\x1b" not in printed.output and "\x07" not in printed.output


def test_default_run_folder_is_runs_and_recipe_name(
    lists: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SEGUE_CACHE", raising=False)
    lists.write_text(
        "playlist_id,track_id\n" + "".join(f"{p},{(p * 7 + t) % 30}\n" for p in range(30) for t in range(6))
    )
    Path("mine.yaml").write_text(
        f"name: mine\ndata: {{reader: csv, path: {lists.name}}}\nbaselines: [popularity]\n"
        "evaluation: {split: {min_tracks: 4, valid_fraction: 0.3}, k: [3], bootstrap: 20}\n"
    )
    found = segue("run", "mine.yaml", "--set", "evaluation.k=[2]")
    assert found.exit_code == 0, found.output
    assert "Recall@2" in found.stdout and "· popularity" in found.stderr
    assert sorted(path.name for path in Path("runs").iterdir()) == [".cache", "mine"]


@pytest.mark.parametrize("format", ["json", "csv", "m3u", "jspf"])
def test_continue_writes_only_requested_format_to_stdout(tiny_run: Path, format: str) -> None:
    found = segue(
        "continue",
        tiny_run,
        "--tracks",
        "demo:track:3, demo:track:8",
        "--tracks",
        "nope",
        "-k",
        "4",
        "--format",
        format,
    )
    assert found.exit_code == 0
    assert found.stdout.count("demo:track:") == 4
    assert found.stderr == "segue: warning: 1 of 3 tracks are not in the catalogue and left out: nope\n"


def test_continue_uses_exclude_and_system(tiny_run: Path) -> None:
    args = ["continue", tiny_run, "--tracks", "demo:track:3", "-k", "1", "--format", "json", "--system", "popularity"]
    first = json.loads(segue(*args).stdout)[0]["id"]
    without = segue(*args, "--exclude", first, "--exclude", "nonsense")
    assert json.loads(without.stdout)[0]["id"] != first
    assert "1 of 2 excluded tracks are not in the catalogue, such as 'nonsense'" in without.stderr
    table = segue(*args[:6], "--system", "popularity")
    assert "next tracks by popularity" in table.stdout and first in table.stdout


@pytest.fixture(scope="session")
def cold_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of item-knn and popularity with a track `new` that is in no playlist."""
    folder = tmp_path_factory.mktemp("cold")
    rows = [f"{p},{(p * 3 + t) % 40}" for p in range(30) for t in range(4)]
    (folder / "lists.csv").write_text("\n".join(["playlist_id,track_id", *rows]))
    (folder / "tracks.csv").write_text("track_id,title\nnew,Unheard\n")
    (folder / "cold.yaml").write_text(
        "data: {reader: csv, path: lists.csv, options: {tracks: {file: tracks.csv, title: title}}}\n"
        "baselines: [popularity, item-knn]\n"
        "evaluation: {split: {min_tracks: 4, valid_fraction: 0.3}, k: [3], bootstrap: 20}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEGUE_CACHE", str(folder / "cache"))
        found = segue("run", folder / "cold.yaml", "--out", folder / "run")
    assert found.exit_code == 0, found.output
    return folder / "run"


def test_continue_without_known_seed_exits_with_2(cold_run: Path) -> None:
    found = segue("continue", cold_run, "--tracks", "local:new", "--system", "item-knn")
    assert (found.exit_code, found.stdout) == (2, "")
    line = "item-knn ranks no track after the 1 seeds (local:new): use another system (popularity)"
    assert found.stderr == f"segue: {line}\n"


def test_continue_warns_if_fewer_than_k_tracks_are_ranked(cold_run: Path) -> None:
    found = segue("continue", cold_run, "--tracks", "local:3", "--system", "item-knn", "--format", "json", "-k", "30")
    listed = json.loads(found.stdout)
    assert found.exit_code == 0 and 0 < len(listed) < 30 and all(track["score"] > 0 for track in listed)
    assert (
        found.stderr == f"segue: warning: item-knn can rank no more than {len(listed)} tracks here, fewer than k=30\n"
    )


def test_validate_prints_summary_or_error(tiny_recipe: Path) -> None:
    first = " ".join(inspect.cleandoc(PlaylistDisjoint.__doc__ or "").split()).partition(". ")[0].removesuffix(".")
    assert segue("validate", tiny_recipe).output.splitlines() == [
        f"{tiny_recipe} is valid",
        "data      reader demo",
        "encoders  audio (features), lyrics (tfidf)",
        "systems   sasrec-multimodal, popularity, content-centroid",
        f"split     playlist_disjoint (min_tracks 5): {first[:1].lower()}{first[1:]}",
        "metrics   recall, ndcg at 5, 20",
    ]
    fault = segue("validate", tiny_recipe, "--set", "encoders.lyrics.params.dimm=3")
    assert fault.exit_code == 2
    assert fault.stderr == (
        "segue: --set encoders.lyrics.params.dimm=3: encoders.lyrics.params.dimm is not a key: did you mean dim?\n"
    )


def test_validate_prints_all_data_and_machine_problems(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("data: {reader: csv, path: lists.csv}\nbaselines: [popularity]\ndevice: tpu\n")
    found = segue("validate", tmp_path / "r.yaml")
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.splitlines() == [
        f"segue: {tmp_path}/r.yaml:3: device='tpu' must be one of auto, cpu, cuda",
        f"segue: {tmp_path}/r.yaml:1: data.path: {tmp_path}/lists.csv does not exist:"
        " correct the path, or put the data there",
    ]


def test_list_without_kind_prints_kinds() -> None:
    kinds = segue("list").stdout.split()
    assert kinds[:3] == ["readers", "encoders", "rankers"] and kinds[-1] == "sources"


def test_encoders_command_lists_encoders() -> None:
    rows = json.loads(segue("encoders", "--json").stdout)
    assert {"features", "features-vae", "sentence-bert", "image-vae", "codes", "tfidf"} <= {row["name"] for row in rows}
    table = segue("encoders").stdout
    assert all(row["name"] in table for row in rows)


def test_data_info_prints_counts_without_writing_files(lists: Path) -> None:
    found = json.loads(segue("data", "info", lists, "--json").stdout)
    assert found["reader"] == "csv" and found["playlists"] == 4 and found["placements"] == 12 and found["tracks"] == 6
    assert found["lengths"] == {"min": 3, "q25": 3, "median": 3, "q75": 3, "max": 3} and found["mean_length"] == 3.0
    assert {"field": "title", "source": "", "train_allowed": None, "tracks": 6, "coverage": 1.0} in found["fields"]
    assert [path.name for path in lists.parent.iterdir()] == ["lists.csv"]
    text = segue("data", "info", lists).stdout
    assert "playlists     4 (0 with a title)" in text and "tracks        6 (6 in playlists, 6 described)" in text


def test_data_info_prints_the_sparsity_and_what_the_filters_of_a_recipe_keep(tmp_path: Path) -> None:
    (tmp_path / "lists.jsonl").write_text(
        '{"id": "1", "tracks": ["a", "b"]}\n{"id": "2", "tracks": ["a", "c", "a"]}\n{"id": "3", "tracks": ["d"]}\n'
    )
    recipe = tmp_path / "r.yaml"
    recipe.write_text("data: {path: lists.jsonl, filters: {min_track_plays: 2}}\nbaselines: [popularity]\n")

    assert json.loads(segue("data", "info", tmp_path / "lists.jsonl", "--json").stdout)["sparsity"] == 0.5
    one = ["data", "info", recipe, "--set", "data.filters.min_playlist_length=1"]
    found = json.loads(segue(*one, "--json").stdout)
    # four tracks and three lists hold six placements; after the filters two lists of track a
    assert (found["playlists"], found["tracks"], found["sparsity"]) == (3, 4, 0.5)
    assert found["filtered"] == {"playlists": 2, "tracks": 1, "placements": 2, "sparsity": 0.0}
    text = segue(*one).stdout
    assert "placements    6 (sparsity 50.000 %)\n" in text
    assert "after filters 2 playlists, 1 tracks, 2 placements (sparsity 0.000 %)\n" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["r.yaml", "--option", "playlist=a"], "r.yaml is a recipe, which has its own options: use --set data.options"),
        (["lists.jsonl", "--set", "a=b"], "--set a=b changes a recipe, and .*lists.jsonl is not a recipe"),
    ],
)
def test_data_info_refuses_options_of_the_other_kind_of_path(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "lists.jsonl").write_text('{"id": "1", "tracks": ["a", "b"]}\n')
    (tmp_path / "r.yaml").write_text("data: {path: lists.jsonl}\nbaselines: [popularity]\n")
    result = segue("data", "info", tmp_path / arguments[0], *arguments[1:])
    assert result.exit_code == 2 and re.search(message, result.stderr)


def test_data_info_reports_repeated_playlist_ids(tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    path.write_text(
        '{"id": "1", "tracks": ["a", "b"]}\n{"id": "1", "tracks": ["a", "c"]}\n{"id": "2", "tracks": ["b"]}\n'
    )
    assert json.loads(segue("data", "info", path, "--json").stdout)["repeated_ids"] == 1
    assert "  with a repeated id: 1, which are bad records in a run\n" in segue("data", "info", path).stdout


def test_data_info_does_not_count_summed_plays_as_bad_records(tmp_path: Path) -> None:
    path = tmp_path / "train_triplets.txt"
    path.write_text("ann\tS1\t2\nann\tS2\t1\nann\tS1\t3\nbob\tS1\t1\n")
    said = segue("data", "info", path).stdout
    assert "bad records" not in said and "left out" not in said
    assert (
        f"doubles       1 taken once, such as {path}, user 'ann': 1 items are listed more than once:"
        " their plays are summed\n" in said
    )
    found = json.loads(segue("data", "info", path, "--json").stdout)
    assert (found["skipped"], found["doubles"], found["placements"]) == (0, 1, 3)


def test_data_info_accepts_reader_options_and_counts_bad_records(lists: Path) -> None:
    lists.write_text("list;song\n1;a\n1;b\n;c\n2;a\n2;c\n")
    options = ["--option", "playlist=list", "--option", "track=song", "--option", "delimiter=;"]
    strict = segue("data", "info", lists, *options)
    assert strict.exit_code == 2 and strict.stderr.endswith("(--skip-bad skips such records)\n")
    assert "on_error" not in strict.stderr
    wrong = segue("data", "info", lists, *options, "--option", "sorted=1")
    assert wrong.exit_code == 2 and wrong.stderr == "segue: data.options.sorted=1 must be true or false\n"
    lenient = segue("data", "info", lists, *options, "--skip-bad")
    assert lenient.exit_code == 0 and "left out      1 bad records, such as" in lenient.stdout


def test_data_info_prints_one_line_for_each_column_that_is_content_of_tracks(lists: Path) -> None:
    rows = [f"{each},{track},{track}!,m{each}\n" for each in range(20) for track in (f"own{each}", "x", "y", "z")]
    lists.write_text("playlist_id,track_id,title,mood\n" + "".join(rows))

    found = segue("data", "info", lists, "--option", "fields={genre: mood}").stdout.splitlines()

    shared = "and varies for {} of the 3 tracks that are in several playlists"
    assert [line for line in found if line.startswith("  column")] == [
        f"  column 'title' (`title`) is constant in 0 of 20 playlists (0.2 expected by chance), {shared.format(0)}",
        "  column 'mood' (`fields.genre`) is constant in 20 of 20 playlists (0.0 expected by chance),"
        f" {shared.format(3)}: it labels the playlist, which is a leak",
    ]


def test_data_convert_writes_recbole_files(lists: Path, tmp_path: Path) -> None:
    found = segue("data", "convert", lists, "--to", "recbole", tmp_path / "out", "--name", "mine")
    assert (
        found.exit_code == 0 and found.stdout == f"{tmp_path / 'out' / 'mine'}: 4 playlists, 6 tracks, 12 placements\n"
    )
    inter = (tmp_path / "out" / "mine" / "mine.inter").read_text().splitlines()
    assert inter[0] == "playlist_id:token\ttrack_id:token\tposition:float" and len(inter) == 13


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("k=0 must be\n>= 1"), 2, "k=0 must be >= 1"),
        (SegueError("the loss became nan"), 1, "the loss became nan"),
        (
            SegueError("database or disk is full"),
            1,
            "the disk is full: delete files and run the same command again, which keeps finished steps",
        ),
        (OSError(28, "No space left on device", "/x/y"), 1, "the disk is full (/x/y): delete files"),
        (
            PermissionError(13, "Permission denied", "/x/y"),
            2,
            "/x/y cannot be read or written (Permission denied): check the path",
        ),
        (
            FileNotFoundError(2, "No such file or directory", "/x/y"),
            2,
            "/x/y cannot be read or written (No such file or directory): check the path",
        ),
        (MemoryError(), 1, "out of memory"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"),
            1,
            "out of memory: reduce batch_tokens",
        ),
        (KeyError("x"), 1, "an error inside segue, KeyError: 'x' (add --debug for the traceback)"),
        (KeyboardInterrupt(), 130, "run the same command again to resume"),
    ],
)
def test_errors_print_one_line_and_set_exit_code(error: BaseException, code: int, line: str) -> None:
    found, text = application.judged(error)
    assert found == code and line in text and "\n" not in text


@pytest.mark.parametrize("place", [0, 2])
def test_traceback_is_printed_only_with_debug(tmp_path: Path, place: int) -> None:
    args = ["validate", str(tmp_path / "none.yaml")]
    quiet = segue(*args)
    assert quiet.exit_code == 2 and quiet.stderr.count("\n") == 1 and quiet.stderr.startswith("segue: ")
    args.insert(place, "--debug")
    loud = segue(*args)
    assert loud.exit_code == 2 and "Traceback" in loud.stderr and loud.stderr.endswith(quiet.stderr)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ("run", "missing argument 'recipe': see segue run --help"),
        ("run a b", "got unexpected extra argument(s) (b): see segue run --help"),
        ("continue x -k 0", "-k='0' must be greater than or equal to 1: see segue continue --help"),
        ("continue x -k two", "-k='two' must be a valid integer: see segue continue --help"),
        ("continue x -k", "option '-k' requires an argument: see segue --help"),
        (
            "continue x --format jso",
            "--format: 'jso' is not one of 'table', 'json', 'csv', 'm3u', 'jspf': see segue continue --help",
        ),
        ("continue x --titel a", "--titel is not an option of segue continue: did you mean --title?"),
        ("continue x -z", "-z is not an option of segue continue: see segue continue --help"),
        (
            "data convert a b",
            "missing option '--to'. Choose from: csv, jsonl, parquet, recbole: see segue data convert --help",
        ),
        ("--vers", "--vers is not an option of segue: did you mean --version?"),
        ("rum x", "no such command 'rum'. Did you mean 'run'?"),
        ("mixtape", "no such command 'mixtape': see segue --help"),
    ],
)
def test_invalid_command_line_prints_one_line_and_exits_with_2(args: str, line: str) -> None:
    found = segue(*args.split())
    assert (found.exit_code, found.stdout, found.stderr) == (2, "", f"segue: {line}\n")


def test_command_group_without_command_shows_help() -> None:
    found = segue("data")
    assert found.exit_code == 2 and "convert" in found.output and "segue: " not in found.output


def test_plugin_commands_are_listed_and_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from toolkit import plugins

    points = dict(plugins.points(application.GROUP))
    points["greet"] = EntryPoint("greet", "greeting:hello", application.GROUP)
    points["size"] = EntryPoint("size", "shutil:get_terminal_size", application.GROUP)
    monkeypatch.setattr(plugins, "points", lambda group: points)
    broken = segue("greet")
    assert broken.exit_code == 2 and "plug-in 'greet' of greeting:hello cannot be imported" in broken.stderr
    assert segue("--help").exit_code == 0
    assert shutil.get_terminal_size is not None and "size" in segue("--help").stdout


def test_error_in_plugin_names_the_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from toolkit import plugins

    (tmp_path / "stranger").mkdir()
    (tmp_path / "stranger" / "reading.py").write_text("def greet(name):\n    return {}[name]\n")
    (tmp_path / "stranger-1.dist-info").mkdir()
    (tmp_path / "stranger-1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: stranger-package\nVersion: 1\n"
    )
    (tmp_path / "stranger-1.dist-info" / "entry_points.txt").write_text(
        "[segue.commands]\ngreet = stranger.reading:greet\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    plugins.points.cache_clear()
    try:
        failed = segue("greet", "ann")
        ours = segue("data", "info", tmp_path, "--option", "a=1")
    finally:
        plugins.points.cache_clear()
    assert failed.exit_code == 1
    assert (
        failed.stderr == "segue: an error inside stranger.reading of stranger-package, KeyError: 'ann'"
        " (add --debug for the traceback)\n"
    )
    assert ours.exit_code == 2 and "stranger" not in ours.stderr.replace(str(tmp_path), "")


def test_validation_only_situations_are_not_in_test_tables() -> None:
    rows = [
        metric_row("popularity", 0.5, slice="situation:title", split="valid"),
        metric_row("popularity", 0.4, slice="situation:first_5"),
        metric_row("popularity", 0.3, slice="situation:first_5", split="valid"),
    ]
    (table,) = situation_tables(rows, {})
    assert [str(column.header).split()[0] for column in table.columns] == ["system", "first_5"]
    assert situation_tables(rows[:1], {}) == []
