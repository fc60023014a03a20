"""Tests of logging finished runs to an MLflow store in SQLite."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from toolkit import run_directory
from toolkit.pipeline.write import mlflow_log
from toolkit.progress import PlainReporter
from toolkit.run_directory import RunDirectory


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path) -> RunDirectory:
    shutil.copytree(tiny_run, tmp_path / "run")
    return RunDirectory(tmp_path / "run")


def test_run_without_an_mlflow_store_logs_nothing(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(mlflow_log.URI, raising=False)
    mlflow_log.log(run, PlainReporter())
    assert not run.path("stages/mlflow.json").exists() and capsys.readouterr().err == ""


def test_missing_mlflow_is_reported_with_its_extra(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(mlflow_log.URI, "sqlite:///none.db")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    mlflow_log.log(run, PlainReporter())
    missing = "package mlflow is not installed: pip install 'segue[mlflow]'"
    note = f"MLFLOW_TRACKING_URI is set and nothing is logged there: {missing}"
    assert note in capsys.readouterr().err
    assert not run.path("stages/mlflow.json").exists()


def test_mlflow_store_has_recipe_epochs_metrics_and_paths(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'segue[mlflow]'")
    uri = f"sqlite:///{run.root.parent / 'mlflow.db'}"
    monkeypatch.setenv(mlflow_log.URI, uri)
    monkeypatch.setenv(mlflow_log.EXPERIMENT, "playlists")
    for _ in range(2):
        mlflow_log.log(run, PlainReporter())
    client = mlflow.MlflowClient(tracking_uri=uri)
    found = client.search_runs([client.get_experiment_by_name("playlists").experiment_id])
    assert len(found) == 1 and found[0].info.status == "FINISHED" and found[0].info.run_name == "tiny"
    data = found[0].data
    assert (
        data.params["models.0.hidden_size"] == "16"
        and data.params["evaluation.k.1"] == "20"
        and data.params["models.0.name"] == "null"
    )
    assert data.tags["segue.path.metrics.json"] == str(run.path(run_directory.METRICS).resolve())
    whole = [row for row in json.loads(run.path(run_directory.METRICS).read_text()) if row["slice"] == "all"]
    for row in whole:
        assert data.metrics[f"{row['system']}/{row['split']}/{row['metric']}_at_{row['k']}"] == row["value"]
    curve = json.loads(run.path(run_directory.CURVES).read_text())["sasrec-multimodal"]
    history = client.get_metric_history(found[0].info.run_id, "sasrec-multimodal/epochs/valid/ndcg_at_20")
    assert [(point.step, point.value) for point in history] == [(point["epoch"], point["ndcg@20"]) for point in curve]


def test_run_with_a_failed_system_has_the_status_failed(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'segue[mlflow]'")
    monkeypatch.setenv(mlflow_log.URI, f"sqlite:///{run.root.parent / 'mlflow.db'}")
    run.write(run_directory.TABLE, [{"system": "mine", "group": "", "not_run": [], "failed": "no moons: add moons"}])
    mlflow_log.log(run, PlainReporter())
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{run.root.parent / 'mlflow.db'}")
    (found,) = client.search_runs([client.get_experiment_by_name("segue").experiment_id])
    assert found.info.status == "FAILED" and found.data.tags["segue.failed"] == "mine"


def test_unwritable_mlflow_store_does_not_fail_the_run(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlflow", reason="mlflow is not installed: pip install 'segue[mlflow]'")
    monkeypatch.setenv(mlflow_log.URI, "gopher://store")
    mlflow_log.log(run, PlainReporter())
    told = [line for line in capsys.readouterr().err.splitlines() if "MLFLOW_TRACKING_URI=gopher://store" in line]
    assert len(told) == 1 and told[0].endswith("correct it and run the same command again")
    assert not run.path("stages/mlflow.json").exists()
