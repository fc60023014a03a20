"""`engine: ray`: transform of a field in the processes of a Ray cluster or of this machine.

The vectors are identical to those of a single process. Inputs are sent to the workers as Parquet files. Workers write
the same part files as a single process, so nothing is recomputed after a kill. On a cluster (`RAY_ADDRESS`), the cache
must be on a disk shared by all machines.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toolkit.encoders.contract.encoder import CUT, SHORT, Encoder, Kind
from toolkit.encoders.contract.encoder_files import write_tensors
from toolkit.encoders.contract.field_values import Inputs
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.errors import InputError, SegueError, first_line

Engine = Literal["local", "ray"]
"""Place where inputs are transformed, in this process or in Ray processes."""


@dataclass(frozen=True)
class Part:
    """Inputs from `start` to `stop`, with the path of the file for their vectors."""

    start: int
    stop: int
    path: Path

    def __len__(self) -> int:
        return self.stop - self.start


def transform(
    encoder: Encoder, parts: Iterable[tuple[Part, Inputs]], work: Path, *, workers: int | None = None
) -> Iterator[Part]:
    """Write the file of every part, and yield the parts in the order of completion.

    - parts: parts with their inputs, read one at a time.
    - work: folder for the encoder state and the inputs. The inputs of a part are deleted after its vectors are written.
    - workers: number of processes. The default is the number of processors in the cluster.

    Raises `BadInput` with the index among all inputs, and `InputError` if Ray is not installed.
    """
    ray = _started(workers)
    state = work / "worker"
    encoder.save(state)
    rows = [_stored(encoder.kind, part, inputs, work) for part, inputs in parts]
    size = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    jobs = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Worker,
        fn_constructor_kwargs={"encoder": type(encoder), "state": str(state), "device": encoder.device},
        batch_size=1,
        num_cpus=1,
        num_gpus=1 if encoder.device.startswith("cuda") else 0,
        compute=ray.data.ActorPoolStrategy(size=min(size, len(rows))),
    )
    try:
        for done in jobs.iter_rows():
            if done["fault"] and done["index"] < 0:
                raise SegueError(
                    f"encoder {encoder.name!r} failed in a Ray worker ({done['fault']}): debug with `engine: local`"
                )
            if done["fault"]:
                raise BadInput(done["start"] + done["index"], done["fault"])
            Path(done["inputs"]).unlink(missing_ok=True)
            yield Part(done["start"], done["stop"], Path(done["path"]))
    except ray.exceptions.RayError as error:
        raise SegueError(
            f"Ray stopped during encoder {encoder.name!r} ({first_line(error)}): run again to resume"
        ) from error


def marks(encoder: Encoder, n: int) -> np.ndarray:
    """Return uint8 [n], `SHORT` and `CUT` of the inputs of the last `transform`, added up."""
    found = np.zeros(n, np.uint8)
    found[list(encoder.short_inputs)] |= SHORT
    found[list(encoder.cut_inputs)] |= CUT
    return found


class Worker:
    """Ray worker process that loads the encoder once and transforms part after part."""

    def __init__(self, encoder: type[Encoder], state: str, device: str) -> None:
        self.encoder = encoder.load(Path(state), device=device)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[object]]:
        """Transform the part described by a row.

        The result adds `fault`, the reason for a failure, and `index`, the position of the invalid input or -1 for an
        encoder error.
        """
        row: dict[str, object] = {name: values[0] for name, values in batch.items()}
        index, fault = -1, ""
        try:
            rows = self.encoder.transform(_read(self.encoder.kind, Path(str(row["inputs"]))))
            tensors = {"matrix": rows, "marks": marks(self.encoder, len(rows))}
            write_tensors(Path(str(row["path"])), tensors, {})
        except BadInput as bad:
            index, fault = bad.index, bad.why
        except Exception as error:  # reported in one line by the process of the run
            fault = repr(error)
        return {**{name: [value] for name, value in row.items()}, "index": [index], "fault": [fault]}


def _started(workers: int | None) -> ModuleType:
    # no usage report to the makers of Ray, no port for a dashboard
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # the workers are the run itself: as important as the process that waits for them
    os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise InputError("`engine: ray` requires Ray: run pip install 'segue[scale]', or set `engine: local`") from None
    if not ray.is_initialized():
        if os.environ.get("RAY_ADDRESS"):
            ray.init(logging_level=logging.ERROR, log_to_driver=False)
        else:
            # one processor more than there are workers, for the steps of Ray Data itself
            processors = (workers or os.cpu_count() or 1) + 1
            ray.init(logging_level=logging.ERROR, log_to_driver=False, num_cpus=processors, include_dashboard=False)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray


def _stored(kind: Kind, part: Part, inputs: Inputs, work: Path) -> dict[str, object]:
    """Write the inputs of a part, and return the row that describes the part for Ray."""
    path = work / f"inputs-{part.start:09d}.parquet"
    if kind == "features":
        matrix = np.ascontiguousarray(inputs, np.float32)
        column: pa.Array = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])
    else:
        column = pa.array(list(inputs), pa.string() if kind in ("text", "category") else pa.large_binary())
    pq.write_table(pa.table({"input": column}), path)
    return {**asdict(part), "path": str(part.path), "inputs": str(path)}


def _read(kind: Kind, path: Path) -> Sequence[str] | Sequence[bytes] | np.ndarray:
    column = pq.read_table(path)["input"].combine_chunks()
    if kind == "features":
        return np.asarray(column.flatten().to_numpy(zero_copy_only=False)).reshape(len(column), -1)
    inputs: Sequence[str] | Sequence[bytes] = column.to_pylist()
    return inputs
