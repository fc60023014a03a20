"""`engine: ray`: the parts of one transform over the processes of a Ray cluster, or of this machine, with the same vectors.

Inputs go to the workers as Parquet files, vectors come back as the same part
files that a transform in one process keeps: what was made before a kill, of a
worker or of everything, is not made again. On a cluster (`RAY_ADDRESS`) the
cache must lie where all machines see it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.encoders.contract.encoder import Encoder, Kind
from toolkit.encoders.contract.encoder_files import write_tensors
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.errors import InputError, SegueError

Engine = Literal["local", "ray"]
"""Where inputs are transformed: in this process, or in those of Ray."""


@dataclass(frozen=True)
class Part:
    """Inputs `start` to `stop`, and where their vectors go."""

    start: int
    stop: int
    path: Path


def transform(
    encoder: Encoder, parts: Iterable[tuple[Part, Any]], work: Path, *, workers: int | None = None
) -> Iterator[Part]:
    """Write the part file of every part; they come in the order in which they are done.

    parts: with each one's inputs, taken one by one. work: folder of the encoder's state and of the inputs, which go when their vectors
    are there. workers: processes; default: the cluster's processors.

    Raises `BadInput` with the place among all inputs, `InputError` without Ray.
    """
    ray = _started(workers)
    state = work / "worker"
    encoder.save(state)
    rows = [_stored(encoder.kind, part, inputs, work) for part, inputs in parts]
    size = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    about = {"encoder": type(encoder), "state": str(state), "device": encoder.device}
    jobs = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Worker,
        fn_constructor_kwargs=about,
        batch_size=1,
        num_cpus=1,
        num_gpus=1 if encoder.device.startswith("cuda") else 0,
        compute=ray.data.ActorPoolStrategy(size=min(size, len(rows))),
    )
    try:
        for done in jobs.iter_rows():
            if done["fault"] and done["index"] < 0:
                raise SegueError(f"encoder {encoder.name!r} failed in a worker of Ray: {done['fault']}")
            if done["fault"]:
                raise BadInput(done["start"] + done["index"], done["fault"])
            Path(done["inputs"]).unlink(missing_ok=True)
            yield Part(done["start"], done["stop"], Path(done["path"]))
    except ray.exceptions.RayError as error:
        reason = (str(error).strip() or repr(error)).splitlines()[0]
        raise SegueError(f"encoder {encoder.name!r}: Ray could not go on: {reason}") from error


def short(encoder: Encoder, n: int) -> np.ndarray:
    """bool [n]: which of the inputs transformed last are shorter than the encoder hears at once."""
    found = np.zeros(n, bool)
    found[list(getattr(encoder, "short", ()))] = True
    return found


class Worker:
    """One process: loads the encoder once, then makes part after part."""

    def __init__(self, encoder: type[Encoder], state: str, device: str) -> None:
        self.encoder = encoder.load(Path(state), device=device)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """One part, as its row; `fault` says what is wrong with the input at `index`, or with the encoder (-1)."""
        row = {name: values[0] for name, values in batch.items()}
        index, fault = -1, ""
        try:
            rows = self.encoder.transform(_read(self.encoder.kind, Path(str(row["inputs"]))))
            write_tensors(Path(str(row["path"])), {"matrix": rows, "short": short(self.encoder, len(rows))}, {})
        except BadInput as bad:
            index, fault = bad.index, bad.why
        except Exception as error:  # told in one line where the run is
            fault = repr(error)
        return {**{name: [value] for name, value in row.items()}, "index": [index], "fault": [fault]}


def _started(workers: int | None) -> Any:
    # no report to the makers of Ray, no dashboard's port
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # the workers are the run itself: as important as the process that waits for them
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("engine: ray needs Ray: pip install 'segue[ray]', or take engine: local") from None
    if not ray.is_initialized():
        # one more than the workers: Ray Data's own steps need a place beside them
        here = {"num_cpus": (workers or os.cpu_count() or 1) + 1, "include_dashboard": False}
        local: dict[str, Any] = {} if os.environ.get("RAY_ADDRESS") else here
        ray.init(logging_level=logging.ERROR, log_to_driver=False, **local)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def _stored(kind: Kind, part: Part, inputs: Any, work: Path) -> dict[str, Any]:
    """Write a part's inputs; its row."""
    path = work / f"inputs-{part.start:09d}.parquet"
    if kind == "features":
        matrix = np.ascontiguousarray(inputs, np.float32)
        column: pa.Array = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
    else:
        column = pa.array(list(inputs), pa.string() if kind in ("text", "category") else pa.large_binary())
    pq.write_table(pa.table({"input": column}), path)
    return {"start": part.start, "stop": part.stop, "path": str(part.path), "inputs": str(path)}


def _read(kind: Kind, path: Path) -> Any:
    column = pq.read_table(path)["input"].combine_chunks()
    if kind == "features":
        return column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return column.to_pylist()
