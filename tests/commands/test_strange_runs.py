"""Tests of commands on run directories from strangers, and with closed or full standard streams."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import segue
from toolkit import run_directory
from toolkit.errors import InputError, RunDirectoryError
from toolkit.ranker_registry import load_ranker
from toolkit.run_directory import RunDirectory

TRACKS = "demo:track:3,demo:track:8"


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, which may be changed."""
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


@pytest.mark.parametrize("name", ["report.html", "model", "stages", "pictures", ".report.html.part", "map.json"])
def test_link_that_leads_out_of_a_run_is_refused_and_not_followed(run: Path, tmp_path: Path, name: str) -> None:
    target = tmp_path / "victim"
    target.mkdir()
    (target / "a").write_text("keep")
    path = run / name
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(target if name in ("model", "stages", "pictures") else target / "a")

    for command in (["report", run], ["continue", run, "--tracks", TRACKS]):
        done = segue(*command)
        assert done.exit_code == 2 and "must not be a link to" in done.output and done.output.count("\n") == 1
    assert (target / "a").read_text() == "keep" and [*target.iterdir()] == [target / "a"]


def test_link_inside_a_run_and_a_link_to_a_run_are_accepted(run: Path, tmp_path: Path) -> None:
    (run / "model" / "again").symlink_to(run / "model" / "systems.json")
    (tmp_path / "link").symlink_to(run)
    assert segue("report", tmp_path / "link").exit_code == 0
    assert segue("continue", tmp_path / "link", "--tracks", TRACKS).exit_code == 0


def test_report_replaces_a_link_at_out_and_leaves_its_target(run: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep")
    (tmp_path / "out.html").symlink_to(tmp_path / "victim")
    assert segue("report", run, "--out", tmp_path / "out.html").exit_code == 0
    assert (tmp_path / "victim").read_text() == "keep" and not (tmp_path / "out.html").is_symlink()


def test_pipe_in_a_run_is_refused_without_waiting(run: Path) -> None:
    (run / "map.json").unlink()
    os.mkfifo(run / "map.json")
    done = segue("report", run)
    assert done.exit_code == 2 and "map.json must be a file, not a pipe" in done.output


def test_claim_deletes_files_of_killed_processes_and_keeps_others(tmp_path: Path) -> None:
    with RunDirectory.claim(tmp_path / "run", {"name": "a"}):
        pass
    (tmp_path / "run" / "stages").mkdir()
    left = tmp_path / "run" / "stages" / ".fit.json.segue_0123abcd.part"
    left.write_text("half")
    (other := tmp_path / "run" / ".mine.part").write_text("keep")
    with RunDirectory.claim(tmp_path / "run", {"name": "a"}):
        assert not left.exists() and other.exists()


def test_log_and_lock_through_links_are_refused(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep")
    run = tmp_path / "run"
    run.mkdir()
    (run / run_directory.LOCK).symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic"), RunDirectory.claim(run, {"name": "a"}):
        pass
    (run / run_directory.LOCK).unlink()
    with RunDirectory.claim(run, {"name": "a"}) as claimed:
        (run / run_directory.LOG).symlink_to(tmp_path / "victim")
        with pytest.raises(OSError, match="symbolic"):
            claimed.log("event")
    assert (tmp_path / "victim").read_text() == "keep"


def test_module_that_a_run_names_is_not_imported(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil_module.py").write_text("open('imported', 'w').close()\nclass X: pass\n")
    monkeypatch.chdir(tmp_path)
    systems = json.loads((run / run_directory.SYSTEMS).read_text())
    systems["systems"][0]["ranker"] = "evil_module:X"
    (run / run_directory.SYSTEMS).write_text(json.dumps(systems))

    done = segue("continue", run, "--tracks", TRACKS)

    assert done.exit_code == 2 and "set SEGUE_TRUST=evil_module" in done.output and done.output.count("\n") == 1
    assert not (tmp_path / "imported").exists() and "evil_module" not in sys.modules
    monkeypatch.setenv("SEGUE_TRUST", "other,evil_module")
    assert "is not a subclass of segue.plugin.Ranker" in segue("continue", run, "--tracks", TRACKS).output
    sys.modules.pop("evil_module")


def test_module_of_a_stored_recipe_is_not_imported_by_report_and_compare(
    run: Path, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "evil_module.py").write_text("open('imported', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    recipe = run / run_directory.RECIPE
    recipe.write_text(recipe.read_text().replace("type: sasrec", "type: evil_module:X", 1))
    metrics = (run / run_directory.METRICS).read_text()
    (run / run_directory.METRICS).write_text(metrics.replace('"recall"', '"evil_module:M"'))

    assert segue("report", run).exit_code == 0
    segue("compare", run, tiny_run)
    assert segue("reproduce", run, "--out", tmp_path / "again").exit_code == 2
    assert not (tmp_path / "imported").exists()


def test_system_name_that_leads_out_of_a_run_is_refused(run: Path) -> None:
    systems = json.loads((run / run_directory.SYSTEMS).read_text())
    systems["systems"][0]["system"] = "../../elsewhere"
    (run / run_directory.SYSTEMS).write_text(json.dumps(systems))
    done = segue("continue", run, "--tracks", TRACKS)
    assert done.exit_code == 2 and "must name a folder" in done.output


def test_declared_size_beyond_the_file_is_refused_without_memory(tmp_path: Path) -> None:
    (folder := tmp_path / "model").mkdir()
    (folder / "ranker.json").write_text('{"ranker": "popularity", "n_items": 4, "params": {}}')
    header = b'{"playlists":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
    (folder / "ranker.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(20))
    with pytest.raises(RunDirectoryError, match="which the file does not hold"):
        load_ranker("popularity", folder)


def test_run_into_a_path_that_is_not_utf8_is_refused_before_any_work(tiny_recipe: Path, tmp_path: Path) -> None:
    done = segue("run", tiny_recipe, "--out", tmp_path / os.fsdecode(b"o\xff"))
    assert done.exit_code == 2 and "must be a path in UTF-8" in done.output and done.output.count("\n") == 1
    with pytest.raises(InputError, match="UTF-8"), RunDirectory.claim(Path(os.fsdecode(b"o\xff")), {}):
        pass


def _shell(line: str, run: Path) -> subprocess.CompletedProcess[str]:
    command = f"{sys.executable} -m segue {line}"
    return subprocess.run(["bash", "-c", command], cwd=run.parent, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "line",
    [
        f"continue run --tracks {TRACKS} --format csv >&-",
        f"continue run --tracks {TRACKS} >&- 2>&-",
        "report run --format csv >&-",
        "compare run run >&- <&-",
        "list metrics 2>&-",
    ],
)
def test_command_with_closed_streams_succeeds_quietly(run: Path, line: str) -> None:
    done = _shell(line, run)
    assert done.returncode == 0 and done.stderr == "", done.stderr


@pytest.mark.parametrize("line", ["--help", "--version", "list metrics", "report run --format markdown"])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_command_on_a_full_disk_fails_in_one_line(run: Path, line: str) -> None:
    done = _shell(f"{line} >/dev/full", run)
    assert done.returncode == 1 and done.stderr.startswith("segue: the disk is full") and done.stderr.count("\n") == 1
