"""What each fault of a published code is worth: one recipe of `leave_last_out` without faults, with each one and with
all.

    python benchmarks/faults.py recipes/papers/published_faults.yaml --set
    data.path=../shared/data/playlists-mpd5k/playlists.csv.gz

Every setting is a run directory of its own; a killed script resumes. What is hidden is the same in
all, so differences are paired by playlist and resampled over playlists (groups). The last line is JSON; --save also
rewrites the table of docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from common import RESULTS, machine

from toolkit import pipeline, recipe
from toolkit.evaluation.protocols.leave_last_out import Fault
from toolkit.pipeline.programs.compare_runs import compare
from toolkit.progress import PlainReporter

PAGE = Path(__file__).resolve().parents[1] / "docs" / "evaluation.md"
BEGIN, END = "<!-- faults -->", "<!-- end of faults -->"
FAULTS: tuple[str, ...] = get_args(Fault)
SETTINGS: dict[str, Sequence[str]] = {"none": (), **{name: (name,) for name in FAULTS}, "all": FAULTS}


def run_all(path: Path, overrides: Sequence[str], out: Path) -> dict[str, Path]:
    """A finished run of each setting."""
    runs = {}
    for name, faults in SETTINGS.items():
        asked = recipe.load(path, [*overrides, f"evaluation.split.faults=[{', '.join(faults)}]"], parameters=True)
        runs[name] = out / name
        pipeline.run(asked, runs[name], progress=PlainReporter())
    return runs


def rows(runs: Mapping[str, Path], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Each system under each fault, less the same system without: difference and 95 % interval by metric."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for fault in [name for name in runs if name != "none"]:
        for key in keys:
            compared = compare(runs["none"], runs[fault], key=key, bootstrap=2_000)
            if not compared.pairs:
                raise SystemExit(f"{fault}: {compared.not_compared}")
            for pair in compared.pairs:
                if pair.system_a != pair.system_b:
                    continue
                row = found.setdefault(
                    (pair.system_a, fault), {"system": pair.system_a, "fault": fault, "lists": pair.difference.n}
                )
                less = pair.difference
                row[key] = {
                    "without": pair.value_a,
                    "with": pair.value_b,
                    "difference": less.value,
                    "low": less.low,
                    "high": less.high,
                }
    return sorted(found.values(), key=lambda row: row["system"])


def markdown(result: Mapping[str, Any]) -> str:
    """The table of the page: every system first as it should be measured, then what each fault adds or takes."""
    keys = result["metrics"]
    lines = [f"| system | fault | {' | '.join(keys)} |", f"|---|---|{'---|' * len(keys)}"]
    seen: set[str] = set()
    for row in result["rows"]:
        if row["system"] not in seen:
            seen.add(row["system"])
            lines.append(f"| {row['system']} | none | {' | '.join(_short(row[key]['without']) for key in keys)} |")
        fault = "all three" if row["fault"] == "all" else f"`{row['fault']}`"
        lines.append(f"| | {fault} | {' | '.join(_difference(row[key]) for key in keys)} |")
    about = result["machine"]
    lines += ["", f"{result['rows'][0]['lists']:,} playlists, {result['recipe']}; {about['date']}, {about['commit']}."]
    return "\n".join(lines)


def written(page: str, table: str) -> str:
    """The page with the table between its marks."""
    if BEGIN not in page or END not in page:
        raise SystemExit(f"{PAGE.name} has no {BEGIN} … {END}: put both where the table belongs")
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{table}\n{END}", page, flags=re.DOTALL)


def _short(value: float) -> str:
    return f"{value:.4f}".removeprefix("0")


def _difference(cell: Mapping[str, float]) -> str:
    mark = "**" if cell["low"] > 0 or cell["high"] < 0 else ""
    return f"{mark}{cell['difference']:+.4f}{mark} [{cell['low']:+.4f}, {cell['high']:+.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("runs/faults"))
    parser.add_argument(
        "--save",
        action="store_true",
        help="keep the result under benchmarks/results and its table in docs/evaluation.md",
    )
    given = parser.parse_args()
    runs = run_all(given.recipe, given.set, given.out)
    evaluation = recipe.load(given.recipe, given.set).evaluation
    keys = [f"{metric}@{k}" for k in evaluation.k for metric in evaluation.metrics]
    changed = [override for override in given.set if not override.startswith("data.path=")]
    result = {
        "race": "faults",
        "recipe": given.recipe.name,
        "set": changed,
        "metrics": keys,
        "rows": rows(runs, keys),
        "machine": machine(),
    }
    print(markdown(result))
    if given.save:
        (RESULTS / f"faults-{given.recipe.stem}.json").write_text(json.dumps(result, indent=1) + "\n")
        PAGE.write_text(written(PAGE.read_text(), markdown(result)))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
