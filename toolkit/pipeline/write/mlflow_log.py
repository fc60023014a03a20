"""Logging of finished runs to MLflow, in the store `MLFLOW_TRACKING_URI`, such as `sqlite:///mlflow.db`.

All values are read from the run directory. Runs that finished earlier can therefore be logged too. Each store gets the
same numbers once. MLflow is an optional dependency.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from toolkit import run_directory
from toolkit.errors import MissingPackage, require
from toolkit.files import digest
from toolkit.packages import MLFLOW
from toolkit.progress import Reporter
from toolkit.recipe.redaction import redacted
from toolkit.result_types import Curve, MetricRow

if TYPE_CHECKING:
    from mlflow import MlflowClient

URI, EXPERIMENT = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
STAGE = "mlflow"
PARAMETERS, METRICS, LONGEST = 100, 1000, 6000
"""Limits of MLflow: entries of one request, and characters of a value."""
PATHS = (
    run_directory.METRICS,
    run_directory.REPORT,
    run_directory.MANIFEST,
    run_directory.PER_PLAYLIST,
    run_directory.MODEL,
)


def log(run: run_directory.RunDirectory, reporter: Reporter) -> None:
    """Log the recipe, all epochs, the metrics of whole splits and the file paths, once for each store.

    A run with failed systems has the status FAILED and the tag `segue.failed`. Nothing is logged without a store. If
    writing to a store fails, the error is reported and the run still succeeds. The same command tries again.
    """
    if not (uri := os.environ.get(URI)):
        return
    try:
        # its usage counts would go to a host that the user did not name
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        mlflow = require("mlflow", install=MLFLOW.install)
    except MissingPackage as error:
        reporter.note(f"{URI} is set and nothing is logged there: {error}")
        return
    metrics = run.read(run_directory.METRICS)
    try:
        run.stage(
            STAGE,
            {"uri": uri, "metrics": digest(metrics)},
            lambda _: ([], _logged(mlflow.MlflowClient(tracking_uri=uri), run, metrics)),
        )
    except Exception as error:  # whatever a store raises, the run is complete
        line = " ".join(str(error).split())[:300]
        reporter.note(
            f"{URI}={redacted(uri)}: nothing is logged there, {type(error).__name__}: {redacted(line)}: "
            "correct it and run the same command again"
        )


def _logged(client: MlflowClient, run: run_directory.RunDirectory, metrics: Sequence[MetricRow]) -> str:
    """Log a run, and return the id of the new MLflow run."""
    from mlflow.entities import Metric, Param

    recipe, manifest = run_directory.read_recipe(run.root), run.read(run_directory.MANIFEST)
    name = os.environ.get(EXPERIMENT, "segue")
    known = client.get_experiment_by_name(name)
    experiment = known.experiment_id if known is not None else client.create_experiment(name)
    paths = {f"segue.path.{path}": str(run.path(path).resolve()) for path in PATHS if run.path(path).exists()}
    failed = [row["system"] for row in run.find(run_directory.TABLE) if "failed" in row]
    tags = {"segue.run": str(run.root.resolve()), **paths, "segue.commit": str(manifest["git_commit"])}
    tags |= {"segue.failed": ", ".join(failed)} if failed else {}
    logged: str = client.create_run(experiment, run_name=recipe["name"], tags=tags).info.run_id
    try:
        parameters = [Param(key, value) for key, value in _flat(recipe)]
        for start in range(0, len(parameters), PARAMETERS):
            client.log_batch(logged, params=parameters[start : start + PARAMETERS])
        now = client.get_run(logged).info.start_time
        values = [
            Metric(key, value, now, step)
            for key, value, step in (
                *_curves(run.read(run_directory.CURVES)),
                *_curves({f"encoders/{row['modality']}": row["curve"] for row in run.find(run_directory.ENCODERS)}),
                *_final(metrics),
            )
        ]
        for start in range(0, len(values), METRICS):
            client.log_batch(logged, metrics=values[start : start + METRICS])
    except BaseException:
        client.set_terminated(logged, status="FAILED")
        raise
    client.set_terminated(logged, status="FAILED" if failed else "FINISHED")
    return logged


def _flat(value: object, where: str = "") -> Iterator[tuple[str, str]]:
    """Yield dotted recipe keys and their values as text. List entries are keyed by position."""
    if isinstance(value, Mapping | list) and value:
        for key, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _flat(inner, f"{where}.{key}".lstrip("."))
    else:
        yield where, (value if isinstance(value, str) else json.dumps(value))[:LONGEST]


def _curves(curves: Mapping[str, Curve]) -> Iterator[tuple[str, float, int]]:
    """Yield the values of keys such as `SYSTEM/epochs/valid/ndcg_at_20`, by epoch."""
    for system, curve in curves.items():
        for point in curve:
            for name, value in point.items():
                if name != "epoch" and value is not None:
                    key = f"valid/{name.replace('@', '_at_')}" if "@" in name else name
                    yield f"{system}/epochs/{key}", float(value), int(point["epoch"] or 0)


def _final(metrics: Sequence[MetricRow]) -> Iterator[tuple[str, float, int]]:
    """Yield the values of keys such as `SYSTEM/test/recall_at_50` and their interval bounds, for whole splits."""
    for row in metrics:
        if row["slice"] == "all":
            key = f"{row['system']}/{row['split']}/{row['metric']}" + (f"_at_{row['k']}" if row["k"] else "")
            for end, value in (("", row["value"]), ("/ci_low", row["ci_low"]), ("/ci_high", row["ci_high"])):
                if value is not None:
                    yield f"{key}{end}", float(value), 0
