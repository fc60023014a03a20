"""The run directory: who owns it, what its files are called, and how they are written so that a kill leaves none half-done."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit.errors import InputError, OldForm, RunDirectoryError
from toolkit.files import digest, locked, read_json, write_bytes, write_json

RECIPE = "recipe.yaml"
MANIFEST = "manifest.json"
METRICS = "metrics.json"
TIMINGS = "timings.json"
PER_PLAYLIST = "per_playlist.parquet"
RANKINGS = "rankings.parquet"
HIDDEN = "hidden.parquet"
CURVES = "curves.json"
COVERAGE = "coverage.json"
COMPARISONS = "comparisons.json"
ATTRIBUTION = "attribution.json"
TAGS = "tags.json"
LOOKING = "looking.json"
MAP = "map.json"
TABLE = "table.json"
EXAMPLES = "examples.json"
DATA = "data.json"
METRIC_INFO = "metric_info.json"
"""By metric its label, direction and decimals, for tables where it is not installed any more."""
FOLDS = "folds.json"
"""The runs that a table was joined from, by their place beside it."""
REPORT = "report.html"
PICTURES = "pictures"
MODEL = "model"
SYSTEMS = "model/systems.json"
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
"""What every finished run has."""
BROUGHT_BACK = "bring it back, or segue run it into another folder"
"""Without its recipe a folder is no run's, so nothing in it can be gone on with."""
ROWS = (METRICS, COVERAGE, COMPARISONS, EXAMPLES, TABLE, TAGS)
"""Files that hold a list of objects; the others but `folds.json` hold one object."""
LOG = "log.jsonl"
STAGES = "stages"
LOCK = ".lock"
OWN = (LOCK, f".{RECIPE}.part")
"""What a kill before the recipe was written leaves behind."""

Make = Callable[[Path], tuple[Sequence[Path], Any]]
"""A stage's work: given a folder for checkpoints, its output files and a JSON-able result."""


@dataclass(frozen=True)
class RunDirectory:
    """One run's folder, claimed by one recipe."""

    root: Path

    @classmethod
    @contextlib.contextmanager
    def claim(cls, root: Path, recipe: dict[str, Any]) -> Iterator[RunDirectory]:
        """Hold `root` for this recipe (every value, defaults included), making it or going on with it.

        Raises `RunDirectoryError` where another recipe, another process or
        anything else has it; nothing is written then.
        """
        run = cls(root)
        run.check(recipe)
        root.mkdir(parents=True, exist_ok=True)
        with locked(run.path(LOCK), wait=False) as holder:
            if holder is not None:
                raise RunDirectoryError(f"{root} is in use by process {holder}: wait for it, or choose another --out")
            run.check(recipe)
            if not run.path(RECIPE).exists() or _difference(_like(read_recipe(root), recipe), recipe):
                run.write_recipe(recipe)
            yield run

    def check(self, recipe: dict[str, Any]) -> None:
        """Whether the folder is this recipe's or nobody's. Raises `RunDirectoryError` otherwise."""
        if self.path(RECIPE).exists():
            if (difference := _difference(self._given(recipe), recipe)) and self._begun():
                raise RunDirectoryError(
                    f"{self.root} was made by another recipe ({difference}): choose another --out, or delete it"
                )
        elif self.root.exists() and (
            not self.root.is_dir() or any(entry.name not in OWN for entry in self.root.iterdir())
        ):
            raise RunDirectoryError(
                f"{self.root} exists and is not a run directory (it has no {RECIPE}): choose another --out"
            )

    def write_recipe(self, recipe: dict[str, Any]) -> None:
        """Write the resolved recipe."""
        write_bytes(self.path(RECIPE), to_yaml(recipe))

    def _given(self, recipe: dict[str, Any]) -> dict[str, Any]:
        """The recipe that the folder is of, with the paths that `recipe` now gives to what had not its weights."""
        old = _like(read_recipe(self.root), recipe)
        rows = self.read(TABLE) if self.path(TABLE).exists() else []
        for key in {key for row in rows for key in row["not_run"]}:
            name, _, parameter = key.removeprefix("encoders.").rpartition(".params.")
            now = ((recipe.get("encoders") or {}).get(name) or {}).get("params") or {}
            if parameter in now and name in (old.get("encoders") or {}):
                old["encoders"][name].setdefault("params", {})[parameter] = now[parameter]
        return old

    def _begun(self) -> bool:
        """Whether there is work to lose: a recipe that was refused before its first stage may be corrected in place."""
        return self.path(STAGES).exists() or self.path(METRICS).exists()

    def path(self, name: str) -> Path:
        return self.root / name

    def read(self, name: str) -> Any:
        """A JSON file of the run. Raises `RunDirectoryError` where it is missing or damaged."""
        found = read_json(self.path(name))
        objects = found if name in ROWS else [found]
        if name != FOLDS and not (isinstance(objects, list) and all(isinstance(each, dict) for each in objects)):
            raise RunDirectoryError(f"{self.path(name)} is damaged: delete it and run the same command again")
        return found

    def write(self, name: str, value: Any) -> None:
        write_json(self.path(name), value)

    def folds(self) -> list[Path]:
        """Folders of the runs that this one's tables were joined from; none where it is a run of its own.

        Raises `RunDirectoryError` where `folds.json` is damaged.
        """
        if not self.path(FOLDS).exists():
            return []
        found = self.read(FOLDS)
        if not isinstance(found, list) or not found or not all(isinstance(name, str) for name in found):
            raise RunDirectoryError(f"{self.path(FOLDS)} is damaged: delete it and run the same command again")
        return [Path(os.path.normpath(self.root / name)) for name in found]

    def log(self, event: str, **fields: Any) -> None:
        """Append a line to `log.jsonl`."""
        line = json.dumps({"time": round(time.time(), 3), "event": event, **fields}, ensure_ascii=False, default=str)
        with self.path(LOG).open("a", encoding="utf-8") as log:
            log.write(line + "\n")

    def done(self, stage: str, inputs: Any) -> Any:
        """What a finished stage returned, or None where it must run: never run, other inputs, or an output is gone."""
        marker = self.path(f"{STAGES}/{stage}.json")
        if not marker.exists():
            return None
        entry = read_json(marker)
        if not isinstance(entry, dict) or not entry.keys() >= {"inputs", "outputs", "result"}:
            raise RunDirectoryError(f"{marker} is damaged: delete it and run the same command again")
        same = entry["inputs"] == digest(inputs)
        return entry["result"] if same and all(self.path(name).exists() for name in entry["outputs"]) else None

    def stage(self, stage: str, inputs: Any, make: Make) -> Any:
        """Run `make(workdir)` unless it was finished with the same inputs; returns its result.

        The folder survives a kill, so that the next try resumes in it, and is
        emptied when the inputs are others. A result may not be None.
        """
        if (result := self.done(stage, inputs)) is not None:
            self.log("stage", stage=stage, state="unchanged")
            return result
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
        """Have a finished stage run again."""
        self.path(f"{STAGES}/{stage}.json").unlink(missing_ok=True)

    def _workdir(self, stage: str, inputs: Any) -> Path:
        workdir = self.path(f"{STAGES}/{stage}.work")
        owner = workdir / "inputs"
        if workdir.exists() and (not owner.exists() or owner.read_text() != digest(inputs)):
            shutil.rmtree(workdir)
        workdir.mkdir(parents=True, exist_ok=True)
        write_bytes(owner, digest(inputs).encode())
        return workdir


def to_yaml(value: Any) -> bytes:
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.allow_unicode, yaml.sort_base_mapping_type_on_output = False, True, False  # type: ignore[assignment]
    stream = io.BytesIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def read_recipe(root: Path) -> dict[str, Any]:
    """The resolved recipe of a run directory. Raises `RunDirectoryError`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        recipe = YAML(typ="safe", pure=True).load((root / RECIPE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunDirectoryError(
            f"{root} is not a run directory: it has no {RECIPE}; `segue run RECIPE --out {root}` makes one"
        ) from None
    except (YAMLError, ValueError, OSError) as error:
        raise RunDirectoryError(
            f"{root / RECIPE} is damaged ({' '.join(str(error).split())}): {BROUGHT_BACK}"
        ) from None
    if not isinstance(recipe, dict):
        raise RunDirectoryError(f"{root / RECIPE} is damaged (it holds no keys): {BROUGHT_BACK}")
    return recipe


def current_form(recipe: dict[str, Any]) -> dict[str, Any]:
    """A resolved recipe, perhaps of an earlier version, as this version resolves it; unchanged where this version refuses it.

    Imports the plug-ins that it names.
    """
    from pydantic import ValidationError

    from toolkit.recipe import Recipe

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OldForm)
        try:
            return Recipe.model_validate(recipe).model_dump(mode="json")
        except (InputError, ValidationError):
            return recipe


def _like(old: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
    """A stored recipe in the form of `recipe`, which this version resolved; `defaults` count by the models that hold them."""
    if old == recipe:
        return old
    current = current_form(old)
    same = {**current, "defaults": recipe.get("defaults")}
    return same if same == recipe else current


def _difference(old: Any, new: Any, where: str = "") -> str:
    """The first value in which two recipes differ, in words; empty where there is none."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if found := _difference(old.get(key), new.get(key), f"{where}.{key}".lstrip(".")):
                return found
        return ""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return next(
            filter(None, (_difference(a, b, f"{where}.{i}") for i, (a, b) in enumerate(zip(old, new, strict=True)))), ""
        )
    return "" if old == new else f"{where} was {old!r}, is {new!r}"
