"""Tests of comparing, reproducing and merging runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from segue.commands.compare import _reading
from tests.command import segue
from toolkit import run_directory
from toolkit.errors import InputError, RecipeError, RunDirectoryError
from toolkit.evaluation.significance import Difference, paired_difference
from toolkit.files import write_json
from toolkit.pipeline.programs.compare_runs import Pair, changes, compare
from toolkit.pipeline.programs.reproduce_run import reproduce
from toolkit.report.merge_runs import across as across_data
from toolkit.report.merge_runs import merge
from toolkit.report.page_sections import column_of, commands
from toolkit.report.run_files import RunFiles


@pytest.fixture
def other(tiny_run: Path, tmp_path: Path) -> Path:
    """Return a copy of the small run with one improved system and one renamed system."""
    copy = tmp_path / "other"
    shutil.copytree(tiny_run, copy)
    frame = parquet.read_table(copy / run_directory.PER_PLAYLIST).to_pandas()
    better = frame.system == "popularity"
    frame.loc[better, "value"] += np.where(frame.row[better] % 2, 0.2501, 0.2499)
    parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), copy / run_directory.PER_PLAYLIST)
    return copy


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_recipe_changes_are_listed_by_dotted_key():
    before = {"models": [{"name": "a", "lr": 0.1}, {"name": "b", "lr": 0.1}], "seed": 0}
    after = {"models": [{"name": "new", "lr": 1.0}, {"name": "a", "lr": 0.1}, {"name": "b", "lr": 0.2}], "seed": 0}
    assert list(changes(before, after)) == [("models.b.lr", 0.1, 0.2), ("models.new", None, {"name": "new", "lr": 1.0})]


def test_comparing_a_run_with_itself_shows_no_differences(tiny_run: Path):
    found = compare(tiny_run, tiny_run)
    assert (found.recipe, found.surroundings, found.not_compared) == ([], [], "")
    assert {pair.system_a for pair in found.pairs} == {
        "sasrec-multimodal",
        "popularity",
        "content-centroid",
        "upper-bound",
    }
    assert all(pair.identical and pair.difference.value == 0 and pair.difference.p == 1 for pair in found.pairs)


def test_differences_are_paired_by_playlist(tiny_run: Path, other: Path):
    found = compare(tiny_run, other, key="recall@20")
    by_name = {pair.system_a: pair for pair in found.pairs}
    moved = by_name["popularity"]
    assert moved.difference.value == pytest.approx(0.25, abs=1e-3) == moved.difference.low
    assert moved.value_b == pytest.approx(moved.value_a + 0.25, abs=1e-3)
    assert by_name["content-centroid"].difference.value == 0
    rows = json.loads((tiny_run / run_directory.METRICS).read_text())
    means = {
        r["system"]: r["value"]
        for r in rows
        if (r["split"], r["slice"], r["metric"], r["k"]) == ("test", "all", "recall", 20)
    }
    assert {name: pair.value_a for name, pair in by_name.items()} == pytest.approx(means)


def test_shuffled_playlist_rows_give_the_same_paired_difference(tiny_run: Path, other: Path):
    frame = parquet.read_table(other / run_directory.PER_PLAYLIST).to_pandas()
    noise = np.random.default_rng(0).normal(size=len(frame))
    frame["value"] += np.where(frame.system == "content-centroid", noise, 0)
    parquet.write_table(
        pa.Table.from_pandas(frame.sample(frac=1, random_state=1), preserve_index=False),
        other / run_directory.PER_PLAYLIST,
    )
    found = next(pair for pair in compare(tiny_run, other, key="ndcg@5").pairs if pair.system_a == "content-centroid")

    def values(table):
        chosen = table[(table.split == "test") & (table.slice == "all") & (table.metric == "ndcg") & (table.k == 5)]
        return chosen[chosen.system == "content-centroid"].set_index("playlist").sort_index()

    a, b = values(parquet.read_table(tiny_run / run_directory.PER_PLAYLIST).to_pandas()), values(frame)
    wanted = paired_difference(
        b.value.to_numpy(), a.value.to_numpy(), np.unique(a.group, return_inverse=True)[1], seed=0
    )
    assert found.difference == wanted and found.difference.high > found.difference.low


def test_runs_with_different_protocols_are_not_compared(tiny_run: Path, other: Path):
    edit(other / run_directory.RECIPE, "shown: 0.7", "shown: 0.5")
    found = compare(tiny_run, other)
    assert not found.pairs and found.not_compared == (
        "the runs have different evaluation settings (evaluation.split.shown 0.7 and 0.5): run both with the same"
    )


def test_different_protocol_is_reported_before_a_missing_metric(tiny_run: Path, other: Path):
    edit(other / run_directory.RECIPE, "type: playlist_disjoint", "type: item_cold")
    frame = parquet.read_table(other / run_directory.PER_PLAYLIST)
    parquet.write_table(
        frame.set_column(frame.column_names.index("metric"), "metric", pa.repeat("auc", len(frame))),
        other / run_directory.PER_PLAYLIST,
    )
    printed = segue("compare", str(tiny_run), str(other))
    assert printed.exit_code == 0 and printed.stdout.startswith(
        "not compared: the runs have different evaluation settings (evaluation.split.type playlist_disjoint and "
        "item_cold): run both with the same"
    )
    edit(other / run_directory.RECIPE, "type: item_cold", "type: playlist_disjoint")
    sizes = json.loads((other / run_directory.DATA).read_text())
    write_json(other / run_directory.DATA, sizes | {"tracks": 1999})
    assert (
        compare(tiny_run, other).not_compared
        == "the runs use different data (data.tracks 200 and 1,999): run both on the same"
    )
    write_json(other / run_directory.DATA, sizes)
    with pytest.raises(InputError, match="was not measured in"):
        compare(tiny_run, other)


def test_comparing_by_an_unmeasured_metric_raises(tiny_run: Path, tmp_path: Path):
    with pytest.raises(InputError, match=r"'recall@7' was not measured in .*did you mean 'recall@"):
        compare(tiny_run, tiny_run, key="recall@7")
    with pytest.raises(RunDirectoryError):
        compare(tiny_run, tmp_path)


def test_holm_correction_counts_only_systems_that_could_differ(tiny_run: Path, other: Path):
    frame = parquet.read_table(other / run_directory.PER_PLAYLIST).to_pandas()
    random = np.random.default_rng(0)
    for system in ("content-centroid", "upper-bound"):
        frame.loc[frame.system == system, "value"] += random.normal(0.02, 0.2, int((frame.system == system).sum()))
    parquet.write_table(pa.Table.from_pandas(frame, preserve_index=False), other / run_directory.PER_PLAYLIST)
    found = compare(tiny_run, other, key="ndcg@20")
    told = {pair.system_a: pair for pair in found.pairs}
    # an oracle competes with nobody, and sasrec-multimodal ranks as it did: two tests, the smaller p counts twice
    assert found.tested == 2 and np.isnan([told["upper-bound"].p_holm, told["sasrec-multimodal"].p_holm]).all()
    p = {name: told[name].difference.p for name in ("popularity", "content-centroid")}
    small, large = sorted(p, key=p.__getitem__)
    assert told[small].p_holm == pytest.approx(2 * p[small]) and told[large].p_holm == pytest.approx(
        max(2 * p[small], p[large])
    )
    printed = segue("compare", str(tiny_run), str(other), "--metric", "ndcg@20").stdout
    assert "p (Holm) is corrected for the 2 pairs tested together" in printed


@pytest.mark.parametrize(
    ("low", "high", "p_holm", "key", "reading"),
    [
        (-1.0, 1.0, 0.9, "ndcg@20", "no difference shown"),
        (0.1, 1.0, 0.06, "ndcg@20", "no difference shown once corrected"),
        (0.1, 1.0, 0.01, "ndcg@20", "B is higher"),
        (-2.0, -1.0, 0.01, "clicks", "B is lower, better"),
        (1.0, 2.0, 0.01, "clicks", "B is higher, worse"),
    ],
)
def test_reading_of_a_difference_uses_the_corrected_p(low: float, high: float, p_holm: float, key: str, reading: str):
    difference = Difference(0.5, low, high, 0.01, 0.001, 0.002, 0.3, 30, 30.0, "bootstrap")
    for corrected in ((p_holm, 0.01), (0.01, p_holm)):
        assert _reading(Pair("a", "a", 1.0, 2.0, difference, *corrected), column_of(key)) == reading


def test_runs_with_different_protocols_or_data_cannot_share_a_table(tiny_run: Path, other: Path):
    both = [str(tiny_run), str(other)]
    sizes = json.loads((other / run_directory.DATA).read_text())
    write_json(other / run_directory.DATA, sizes | {"split": sizes["split"] | {"test": 7}})
    found = segue("report", *both, "--format", "csv")
    assert found.exit_code == 2 and found.stderr.count("\n") == 1
    told = (
        f"run and other use different data (data.split.test {sizes['split']['test']} and 7), "
        f"so their results cannot be in one table: call `segue report`"
    )
    assert told in found.stderr and "or pass --across" in found.stderr
    across = segue("report", *both, "--across", "--format", "markdown")
    assert (
        across.exit_code == 0
        and across.stdout.splitlines()[0].count("run: ") == across.stdout.splitlines()[0].count("other: ") == 4
    )
    page = segue("report", *both, "--across")
    assert page.exit_code == 2 and "--across requires a table format" in page.stderr
    write_json(other / run_directory.DATA, sizes)
    manifest = json.loads((other / run_directory.MANIFEST).read_text())
    write_json(other / run_directory.MANIFEST, manifest | {"data": manifest["data"] | {"blake2b": "ab12"}})
    with pytest.raises(RunDirectoryError, match=r"files of hash \w+ and ab12"):
        merge([RunFiles.read(each) for each in (tiny_run, other)])
    edit(other / run_directory.RECIPE, "min_tracks: 5", "min_tracks: 6")
    for put in (merge, across_data):
        with pytest.raises(
            RunDirectoryError, match=r"have different evaluation settings \(evaluation.split.min_tracks 5 and 6\)"
        ):
            put([RunFiles.read(each) for each in (tiny_run, other)])


def test_compare_command_prints_a_reading_of_each_difference(tiny_run: Path, other: Path):
    found = segue("compare", str(tiny_run), str(other), "--metric", "recall@20")
    assert found.exit_code == 0 and "recipe: no difference" in found.stdout and "p (Holm)" in found.stdout
    assert "B is higher" in next(line for line in found.stdout.splitlines() if line.strip().startswith("popularity"))


def test_reproduce_gives_identical_bytes(tiny_run: Path, tmp_path: Path):
    found = reproduce(tiny_run, tmp_path / "again")
    assert found.same and found.metrics == []
    assert not (tmp_path / "again" / "cache").exists() and (tmp_path / "again" / run_directory.REPORT).exists()


def test_reproduce_reports_different_metrics_and_package_versions(tiny_run: Path, tmp_path: Path):
    claimed = tmp_path / "claimed"
    shutil.copytree(tiny_run, claimed)
    rows = json.loads((claimed / run_directory.METRICS).read_text())
    rows[0]["value"] += 0.1
    write_json(claimed / run_directory.METRICS, rows)
    manifest = json.loads((claimed / run_directory.MANIFEST).read_text())
    manifest["versions"]["torch"] = "1.0"
    write_json(claimed / run_directory.MANIFEST, manifest)
    found = segue("reproduce", str(claimed), "--out", str(tmp_path / "again"))
    assert found.exit_code == 1
    assert "changed environment: versions.torch was 1.0, is" in found.stdout
    assert (
        f"{claimed} is not reproduced: 1 values differ, and the changes of the environment are listed above"
        in found.stdout
    )


def test_reproducing_an_unfinished_run_raises(tiny_run: Path, tmp_path: Path):
    with pytest.raises(RunDirectoryError, match="so the run is not finished"):
        reproduce(tmp_path, tmp_path / "again")
    with pytest.raises(RunDirectoryError, match="must differ from the folder of the run"):
        reproduce(tiny_run, tiny_run)


def test_reproducing_into_a_finished_run_raises(tiny_run: Path, tmp_path: Path):
    shutil.copytree(tiny_run, tmp_path / "twin")
    with pytest.raises(
        RunDirectoryError,
        match=r"twin must not hold a finished run, because all numbers are recomputed: delete",
    ):
        reproduce(tiny_run, tmp_path / "twin")


def test_finished_reproduction_is_compared_again(tiny_run: Path, tmp_path: Path):
    first, again = (reproduce(tiny_run, tmp_path / "again") for _ in range(2))
    assert first.same and again == first


@pytest.mark.parametrize("new", ["epochs: 1", "epochss: 2", "epochs: many"])
def test_reproducing_a_changed_recipe_raises(new: str, tiny_run: Path, tmp_path: Path):
    changed = tmp_path / "changed"
    shutil.copytree(tiny_run, changed)
    text = (changed / run_directory.RECIPE).read_text()
    assert "epochs: 2\n" in text
    (changed / run_directory.RECIPE).write_text(text.replace("epochs: 2\n", f"{new}\n", 1))
    with pytest.raises(
        RunDirectoryError, match=r"changed/recipe\.yaml was changed after the run was finished: restore the recipe, or"
    ):
        reproduce(changed, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_reproducing_an_invalid_recipe_raises_with_line_number(tiny_run: Path, tmp_path: Path):
    unfinished = tmp_path / "unfinished"  # as a run is whose weights are not all here
    shutil.copytree(tiny_run, unfinished)
    (unfinished / "stages" / "finished.json").unlink()
    text = (unfinished / run_directory.RECIPE).read_text()
    (unfinished / run_directory.RECIPE).write_text(text.replace("epochs: 2\n", "epochs: many\n", 1))
    with pytest.raises(RecipeError, match=r"recipe\.yaml:\d+: models\.0\.epochs='many' must be a valid integer"):
        reproduce(unfinished, tmp_path / "again")


def test_report_of_several_runs_is_a_single_page(tiny_run: Path, other: Path, tmp_path: Path):
    target = tmp_path / "both.html"
    found = segue("report", str(tiny_run), str(other), "--out", str(target))
    assert (
        found.exit_code == 0 and "popularity · other" in target.read_text() and "popularity · run" in target.read_text()
    )
    both = merge([RunFiles.read(tiny_run), RunFiles.read(other)])
    assert len(both.metrics) == 2 * len(RunFiles.read(tiny_run).metrics) and both.names == ("run", "other")
    of_folds = replace(RunFiles.read(tiny_run), folds=("fold-0/run", "fold-1/run"))
    for shown, again in [
        (both, ["run", "other"]),
        (merge([of_folds, RunFiles.read(other)]), ["fold-0/run", "fold-1/run", "other"]),
    ]:
        assert [line for line in commands(shown) if "reproduce" in line] == [
            f"segue reproduce {name}" for name in again
        ]
    with pytest.raises(RunDirectoryError, match="two runs have the same name 'run'"):
        merge([RunFiles.read(tiny_run), RunFiles.read(tiny_run)])


def test_latex_table_has_intervals_only_with_the_option(tiny_run: Path):
    args = ["report", str(tiny_run), "--format", "latex"]
    plain, full = (segue(*args, *more).stdout for more in ([], ["--intervals"]))
    assert full.count("\\scriptsize [") > 0 == plain.count("\\scriptsize [")
    wrong = segue("report", str(tiny_run), "--intervals")
    assert (
        wrong.exit_code == 2
        and wrong.stderr == "segue: --intervals can be set only with --format latex, not html: remove --intervals\n"
    )


@pytest.mark.parametrize(
    ("form", "sign"), [("markdown", "| popularity |"), ("csv", "popularity,"), ("latex", r"\begin{tabular}")]
)
def test_printed_and_written_report_tables_are_identical(tiny_run: Path, tmp_path: Path, form: str, sign: str):
    printed = segue("report", str(tiny_run), "--format", form)
    assert printed.exit_code == 0 and sign in printed.stdout
    written = segue("report", str(tiny_run), "--format", form, "--out", str(tmp_path / "t"))
    assert written.exit_code == 0 and (tmp_path / "t").read_text().strip() == printed.stdout.strip()


def test_unknown_report_slice_raises(tiny_run: Path):
    found = segue("report", str(tiny_run), "--format", "csv", "--slice", "colder")
    assert found.exit_code == 2 and "--slice='colder' is not in these runs: did you mean 'cold'?" in found.stderr
