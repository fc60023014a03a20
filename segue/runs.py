"""Runs of recipes, from data to report in one folder."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from toolkit import run_directory
from toolkit.errors import RunDirectoryError
from toolkit.files import check_links
from toolkit.progress import interactive
from toolkit.recipe import Recipe
from toolkit.run_directory import RunDirectory, RunFile

if TYPE_CHECKING:
    import pandas as pd

    from segue.model import Model
    from toolkit.progress import Reporter
    from toolkit.report.result_tables import Table

T = TypeVar("T")


class Run:
    """Finished run, read from a folder. Raises `RunDirectoryError` for other folders."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        check_links(self.path)
        if not (self.path / run_directory.METRICS).exists():
            raise RunDirectoryError(
                f"{path} is not the folder of a finished run: create a run with segue.run(recipe, {str(path)!r})"
            )

    def __repr__(self) -> str:
        failed = f", failed: {', '.join(self.failed)}" if self.failed else ""
        return f"<segue.Run {self.path}{failed}>"

    @property
    def failed(self) -> dict[str, str]:
        """Reason for each system that failed, by name. `segue.run` with the same recipe tries them again."""
        from toolkit.pipeline.write.write_results import failed

        return failed(RunDirectory(self.path).find(run_directory.TABLE))

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per system, split, slice, metric and k, with 95 % intervals."""
        return self._frame(run_directory.METRICS)

    @property
    def comparisons(self) -> pd.DataFrame:
        """Paired differences of each system from the reference (system minus reference)."""
        return self._frame(run_directory.COMPARISONS)

    @property
    def coverage(self) -> pd.DataFrame:
        """One row per modality: encoder, field, size, and share of tracks with the modality."""
        return self._frame(run_directory.COVERAGE)

    @property
    def per_playlist(self) -> pd.DataFrame:
        """Return one row per system, playlist, slice, metric and k."""
        return self._parquet(run_directory.PER_PLAYLIST)

    @property
    def rankings(self) -> pd.DataFrame:
        """Return the stored rankings of each system for the test playlists."""
        return self._parquet(run_directory.RANKINGS)

    def to_markdown(self, *, split: str = "test", slice: str = "all", intervals: bool = True) -> str:
        """Return the table of systems as Markdown."""
        from toolkit.report import result_tables

        return result_tables.to_markdown(self._table(split, slice), intervals=intervals)

    def to_latex(self, *, split: str = "test", slice: str = "all", intervals: bool = False) -> str:
        """Return the table of systems as LaTeX (booktabs)."""
        from toolkit.report import result_tables

        return result_tables.to_latex(self._table(split, slice), intervals=intervals)

    def to_csv(self, *, split: str = "test", slice: str = "all") -> str:
        """Return the table of systems as CSV in full precision."""
        from toolkit.report import result_tables

        return result_tables.to_csv(self._table(split, slice))

    def render(self) -> Path:
        """Write `report.html` from the stored results of the run. Returns the path."""
        from toolkit.report.page import render

        render(self.path)
        return self.path / run_directory.REPORT

    def model(self, system: str | None = None) -> Model:
        """Load a fitted system of the run; default: the best on validation."""
        from segue.model_kinds import load

        return load(self.path, system)

    def _table(self, split: str, part: str) -> Table:
        from toolkit.report.result_tables import pivot

        run = RunDirectory(self.path)
        metrics, timings = run.read(run_directory.METRICS), run.read(run_directory.TIMINGS)
        return pivot(metrics, split=split, slice=part, timings=timings, layout=run.find(run_directory.TABLE))

    def _frame(self, name: RunFile[list[T]]) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(RunDirectory(self.path).read(name))

    def _parquet(self, name: str) -> pd.DataFrame:
        import pandas as pd

        if not (self.path / name).exists():
            cure = "set `rankings` above 0 and run the recipe" if name == run_directory.RANKINGS else "run the recipe"
            raise RunDirectoryError(f"{self.path} does not contain {name}: {cure} again")
        return pd.read_parquet(self.path / name)


def run(
    recipe: str | Path | Recipe | Mapping[str, object],
    out: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    fresh: bool = False,
    progress: Reporter | None = None,
) -> Run:
    """Run a recipe, or resume an earlier run. A finished run is returned at once.

    - recipe: path of a YAML file, a `Recipe`, or a mapping of recipe keys.
    - out: folder of the run; default: `runs/` and the recipe's name.
    - overrides: `key=value` strings for a recipe file, as in `--set`.
    - fresh: whether to recompute finished steps.

    Raises `RecipeError` for an invalid recipe, with line, key, value and rule. A system that fails is left out of the
    results with a warning, and is listed in `Run.failed`.

    Example:
        >>> import segue
        >>> data = {"reader": "demo", "options": {"tracks": 300, "artists": 40, "playlists": 200}}
        >>> run = segue.run(segue.Recipe(name="small", data=data, baselines=["popularity"]))
        >>> run.metrics["system"].unique().tolist()
        ['popularity', 'upper-bound']
    """
    from toolkit import pipeline
    from toolkit.pipeline.run import preflight
    from toolkit.recipe.yaml_file import read

    if isinstance(recipe, Mapping):
        recipe = Recipe(**recipe)
    if isinstance(recipe, Recipe):
        settings, written = recipe, None
    else:
        written = read(Path(recipe), overrides)
        settings = written.recipe()
    folder = Path(out) if out is not None else Path("runs") / settings.name
    if not (folder / run_directory.METRICS).exists():
        preflight.admit(settings, written)
    with contextlib.nullcontext() if written is None else written.placing():
        results = pipeline.run(settings, folder, progress=progress or interactive(), fresh=fresh)
    for name, why in results.failed.items():
        warnings.warn(f"{name} failed: {why}", stacklevel=2)
    return Run(folder)
