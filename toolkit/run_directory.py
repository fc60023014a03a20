"""Run directory: ownership, names and types of files, and resumable stages."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from toolkit.errors import RunDirectoryError
from toolkit.files import (
    check_links,
    delete_unfinished,
    digest,
    in_utf8,
    locked,
    open_to_append,
    read_json,
    read_regular,
    regular,
    replacing,
    write_bytes,
    write_json,
)
from toolkit.recipe.redaction import without_secrets
from toolkit.recipe.resolved_recipes import difference, encoders_of, in_form_of, to_yaml, without_systems
from toolkit.recipe.stored_recipe import StoredRecipe
from toolkit.result_types import (
    Attribution,
    ComparisonRow,
    CoverageRow,
    Curve,
    DataFacts,
    EncoderRow,
    Example,
    FactorMap,
    Manifest,
    MetricRow,
    RunFile,
    StageEntry,
    SystemOrder,
    TableRow,
    TagScores,
    Timing,
    TrackMap,
)
from toolkit.validation import conforms, fault_of

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

RECIPE = "recipe.yaml"
MANIFEST = RunFile("manifest.json", Manifest)
METRICS = RunFile("metrics.json", list[MetricRow])
TIMINGS = RunFile("timings.json", dict[str, Timing])
PER_PLAYLIST = "per_playlist.parquet"
RANKINGS = "rankings.parquet"
HIDDEN = "hidden.parquet"
CURVES = RunFile("curves.json", dict[str, Curve])
COVERAGE = RunFile("coverage.json", list[CoverageRow])
ENCODERS = RunFile("encoders.json", list[EncoderRow])
COMPARISONS = RunFile("comparisons.json", list[ComparisonRow])
ATTRIBUTION = RunFile("attribution.json", Attribution)
TAGS = RunFile("tags.json", list[TagScores])
FACTOR_MAP = RunFile("factor_map.json", FactorMap)
MAP = RunFile("map.json", TrackMap)
TABLE = RunFile("table.json", list[TableRow])
EXAMPLES = RunFile("examples.json", list[Example])
DATA = RunFile("data.json", DataFacts)
METRIC_INFO = RunFile("metric_info.json", dict[str, dict[str, object]])
"""Label, direction and decimals of each metric, for readers who have not installed the metric."""
FOLDS = RunFile("folds.json", list[str])
"""Relative paths of the runs whose tables were pooled."""
REPORT = "report.html"
PICTURES = "pictures"
MODEL = "model"
SYSTEMS = RunFile("model/systems.json", SystemOrder)
TRACKS = "model/tracks.arrow"
RESULTS = (
    METRICS,
    REPORT,
    SYSTEMS,
    PER_PLAYLIST,
    MANIFEST,
    DATA,
    COVERAGE,
    TABLE,
    TIMINGS,
    CURVES,
    COMPARISONS,
    EXAMPLES,
)
"""Files of every finished run."""
LONGEST_RECIPE = 4_000_000
"""Most bytes of a resolved recipe, which repeats what the recipe of at most 1,000,000 bytes sets once."""
RESTORE = "restore the file, or run the recipe with a different --out"
"""Cure for a damaged recipe, without which no work in the folder can be resumed."""
NOT_STORED = (
    "a password or key is used but not stored with the run: pass it in the environment, such as PGPASSWORD, or in"
    " ~/.pgpass"
)
LOG = "log.jsonl"
STAGES = "stages"
LOCK = ".lock"
OWN = re.compile(rf"{re.escape(LOCK)}|\.{re.escape(RECIPE)}\.\w+\.part")
"""Names of files that remain after a kill before the recipe was written."""

Make = Callable[[Path], tuple[Sequence[Path], T]]
"""Function of a stage, which receives a checkpoint folder and returns output files and a JSON-compatible result."""


@dataclass(frozen=True)
class RunDirectory:
    """Folder of a run, claimed by one recipe."""

    root: Path

    @classmethod
    @contextlib.contextmanager
    def claim(cls, root: Path, recipe: Mapping[str, object]) -> Iterator[RunDirectory]:
        """Lock `root` for this recipe (all values, including defaults), and create the folder if necessary.

        Raises `RunDirectoryError` without writing anything if the folder belongs to a different recipe, is in use by
        another process or contains other files.
        """
        run, given = cls(in_utf8(root)), recipe
        recipe = without_secrets(given)
        if recipe != given:
            warnings.warn(f"{difference(recipe, given).partition(' was ')[0]}: {NOT_STORED}", stacklevel=3)
        run.check(recipe)
        root.mkdir(parents=True, exist_ok=True)
        with locked(run.path(LOCK), wait=False) as holder:
            if holder is not None:
                raise RunDirectoryError(
                    f"{root} is in use by process {holder}: wait for the process, or set a different --out"
                )
            run.check(recipe)
            delete_unfinished(*(Path(folder) for folder, _, _ in os.walk(root)))
            if not run.path(RECIPE).exists() or difference(in_form_of(read_recipe(root), recipe), recipe):
                run.write_recipe(recipe)
            yield run

    def check(self, recipe: Mapping[str, object]) -> None:
        """Raise `RunDirectoryError` if the folder belongs to a different recipe or is not a run directory."""
        recipe = without_secrets(recipe)
        if self.path(RECIPE).exists():
            # a recipe that was refused before its first stage may be corrected in place
            begun = self.path(STAGES).exists() or self.path(METRICS).exists()
            if (change := self._change(recipe)) and begun:
                raise RunDirectoryError(
                    f"{self.root} belongs to another recipe ({change}): set a different --out, or delete the folder"
                )
        elif self.root.exists() and (
            not self.root.is_dir() or not all(OWN.fullmatch(entry.name) for entry in self.root.iterdir())
        ):
            raise RunDirectoryError(
                f"{self.root} exists and is not a run directory ({RECIPE} is missing): set a different --out"
            )

    def write_recipe(self, recipe: Mapping[str, object]) -> None:
        """Write the resolved recipe."""
        write_bytes(self.path(RECIPE), to_yaml(recipe))

    def _change(self, recipe: Mapping[str, object]) -> str:
        """Describe the first difference between the stored recipe and `recipe`, apart from entries that failed."""
        change = difference(self._stored(recipe), recipe)
        failed = {row["system"] for row in self.find(TABLE) if "failed" in row} if change else set()
        if not failed:
            return change
        return difference(
            without_systems(self._stored(recipe), failed),
            without_systems(recipe, failed),
        )

    def _stored(self, recipe: Mapping[str, object]) -> Mapping[str, object]:
        """Return the stored recipe, with paths of weights that were missing and that `recipe` now sets."""
        stored = in_form_of(read_recipe(self.root), recipe)
        before, now = encoders_of(stored), encoders_of(recipe)
        for key in {key for row in self.find(TABLE) for key in row["not_run"]}:
            name, _, parameter = key.removeprefix("encoders.").rpartition(".params.")
            params = now[name].get("params", {}) if name in now else {}
            if parameter in params and name in before:
                before[name].setdefault("params", {})[parameter] = params[parameter]
        return stored

    def path(self, name: str) -> Path:
        return self.root / name

    def read(self, file: RunFile[T]) -> T:
        """Return the content of a file of the run. Raises `RunDirectoryError` if it is missing or damaged."""
        value: object = read_json(self.path(file))
        if not conforms(value, file.kind):
            raise self._damaged(file, fault_of(value, file.kind))
        return value

    def find(self, file: RunFile[T], *, keys: Collection[str] = ()) -> T:
        """Return the content of a file of the run, or an empty value if the file is missing or empty.

        - keys: keys that an object has unless it is empty.

        Raises `RunDirectoryError` if it is damaged.
        """
        path = self.path(file)
        value = self.read(file) if path.exists() and path.stat().st_size else file.kind()
        if value and isinstance(value, dict) and (missing := [key for key in keys if key not in value]):
            raise self._damaged(file, f"{missing[0]!r} is missing")
        return value

    def _damaged(self, name: str, fault: str) -> RunDirectoryError:
        return RunDirectoryError(
            f"{self.path(name)} is damaged ({fault}): delete the file and run the same command again"
        )

    def write(self, name: str, value: object) -> None:
        write_json(self.path(name), without_secrets(value))

    def read_table(self, name: str) -> pa.Table:
        """Return a Parquet file of the run. Raises `RunDirectoryError` if it is missing or damaged."""
        import pyarrow as pa
        import pyarrow.parquet as parquet

        try:
            with regular(self.path(name)) as file:
                table = parquet.read_table(file)
            table.validate(full=True)
            return table
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise unreadable(self.path(name), error) from None

    def write_table(self, name: str, table: pa.Table) -> None:
        """Write a Parquet file of the run."""
        import pyarrow.parquet as parquet

        with replacing(self.path(name)) as unfinished:
            parquet.write_table(table, unfinished, compression="zstd")

    def folds(self) -> list[Path]:
        """Return the folders of the folds whose tables were pooled, or an empty list for a single run.

        Raises `RunDirectoryError` if `folds.json` is damaged.
        """
        if not self.path(FOLDS).exists():
            return []
        if not (names := self.read(FOLDS)):
            raise self._damaged(FOLDS, "no folds")
        return [Path(os.path.normpath(self.root / name)) for name in names]

    def log(self, event: str, **fields: object) -> None:
        """Append a line to `log.jsonl`."""
        entry = without_secrets({"time": round(time.time(), 3), "event": event, **fields})
        line = json.dumps(entry, ensure_ascii=False, default=str)
        with open_to_append(self.path(LOG)) as log:
            log.write(line + "\n")

    def done(self, stage: str, inputs: object) -> Any:
        """Return the result of a finished stage.

        Returns None if the stage must run because it has not run, its inputs changed or an output is missing.
        """
        if not self.path(name := f"{STAGES}/{stage}.json").exists():
            return None
        entry = read_json(self.path(name))
        if not conforms(entry, StageEntry):
            raise self._damaged(name, fault_of(entry, StageEntry))
        same = entry["inputs"] == digest(inputs)
        return entry["result"] if same and all(self.path(name).exists() for name in entry["outputs"]) else None

    def stage(self, stage: str, inputs: object, make: Make[T]) -> T:
        """Run `make(workdir)` unless the stage has finished with the same inputs.

        Returns the result, which must not be None. After a kill the next attempt resumes from `workdir`, which is
        emptied when the inputs change.
        """
        done: T | None = self.done(stage, inputs)
        if done is not None:
            self.log("stage", stage=stage, state="unchanged")
            return done
        workdir = self._workdir(stage, inputs)
        self.log("stage", stage=stage, state="started")
        started = time.perf_counter()
        outputs, result = make(workdir)
        names = [str(path.relative_to(self.root)) for path in outputs]
        self.write(f"{STAGES}/{stage}.json", {"inputs": digest(inputs), "outputs": names, "result": result})
        shutil.rmtree(workdir, ignore_errors=True)
        self.log("stage", stage=stage, state="finished", seconds=round(time.perf_counter() - started, 3))
        return result

    def forget(self, stage: str) -> None:
        """Mark a finished stage as not run."""
        self.path(f"{STAGES}/{stage}.json").unlink(missing_ok=True)

    def _workdir(self, stage: str, inputs: object) -> Path:
        workdir = self.path(f"{STAGES}/{stage}.work")
        owner = workdir / "inputs"
        if workdir.exists() and (not owner.exists() or owner.read_bytes() != digest(inputs).encode()):
            shutil.rmtree(workdir)
        workdir.mkdir(parents=True, exist_ok=True)
        write_bytes(owner, digest(inputs).encode())
        return workdir


def unreadable(path: Path, error: Exception, delete: Path | None = None) -> RunDirectoryError:
    """Return the error for an unreadable file. delete: path to delete; default: the file."""
    line, what = " ".join(str(error).split()), delete or "the file"
    return RunDirectoryError(f"{path} cannot be read ({line}): delete {what} and run the same command again")


def read_recipe(root: Path) -> StoredRecipe:
    """Return the resolved recipe of a run directory, without passwords and keys. Raises `RunDirectoryError`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    check_links(root)
    try:
        recipe: object = YAML(typ="safe", pure=True).load(recipe_text(root))
    except FileNotFoundError:
        raise RunDirectoryError(
            f"{root} is not a run directory ({RECIPE} is missing): create a run with `segue run RECIPE --out {root}`"
        ) from None
    except (YAMLError, ValueError, OSError, RecursionError) as error:
        raise RunDirectoryError(f"{root / RECIPE} is damaged ({' '.join(str(error).split())}): {RESTORE}") from None
    if not conforms(recipe, StoredRecipe):
        raise RunDirectoryError(f"{root / RECIPE} is damaged ({fault_of(recipe, StoredRecipe)}): {RESTORE}")
    return without_secrets(recipe)


def recipe_text(root: Path) -> str:
    """Return the text of a run's recipe. Raises `OSError` or `ValueError`."""
    data = read_regular(root / RECIPE, LONGEST_RECIPE)
    if len(data) > LONGEST_RECIPE:
        raise ValueError(f"it is longer than {LONGEST_RECIPE:,} bytes")
    return data.decode("utf-8")
