"""docs/papers.md's tables: a line for each thing that the five papers ask for, and for each row that they print.

    python benchmarks/papers_table.py --collect planted RUN …   # numbers of runs to results/papers.csv
    python benchmarks/papers_table.py --collect real RUN …
    python benchmarks/papers_table.py                           # rewrite the tables in docs/papers.md
    python benchmarks/papers_table.py --check                   # 1 if docs/papers.md is not up to date

`printed/PAPER.csv` is typed from the papers: part, row, verdict (faithful, differs, missing), difference with its
reason, recipe and entry, and the printed value of one metric. Numbers are means over test playlists with 95 %
intervals: planted on the demo catalogue, real on playlists of listeners.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PRINTED, RESULTS, PAGE = ROOT / "benchmarks" / "printed", ROOT / "benchmarks" / "results", ROOT / "docs" / "papers.md"
BEGIN, END = "<!-- benchmarks/papers_table.py -->", "<!-- ends -->"

PAPERS = {
    "usc": "Multimodal BERT4Rec (USC report)",
    "oramas": "Oramas et al. 2017",
    "vandenoord": "van den Oord, Dieleman and Schrauwen 2013",
    "lee": "Lee et al. 2018",
    "survey": "The survey of deep hybrids",
}
COLUMNS = ("data", "recipe", "entry", "metric", "value", "low", "high", "mark")
VERDICTS = ("faithful", "differs", "missing")

Row = Mapping[str, str]


def rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table, or none if the file does not exist."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def measured(run: Path, data: str) -> Iterator[dict[str, str]]:
    """Yield a result for each system and metric of a run on test playlists."""
    timings = json.loads((run / "timings.json").read_text(encoding="utf-8"))
    for row in json.loads((run / "metrics.json").read_text(encoding="utf-8")):
        if row["split"] != "test" or row["slice"] != "all" or row["value"] is None:
            continue
        about = timings.get(row["system"], {})
        numbers = {"value": row["value"], "low": row["ci_low"], "high": row["ci_high"]}
        yield {
            "data": data,
            "recipe": f"{run.name}.yaml",
            "entry": row["system"],
            "metric": f"{row['metric']}@{row['k']}" if row["k"] else row["metric"],
            **{key: "" if value is None else f"{value:.6g}" for key, value in numbers.items()},
            "mark": ", ".join([*(["underfit"] if about.get("underfit") else []), *about.get("warnings", {})]),
        }


def collect(data: str, runs: Sequence[Path]) -> None:
    """Put the results of runs into results/papers.csv, in place of earlier ones of the same recipes."""
    path, names = RESULTS / "papers.csv", {f"{run.name}.yaml" for run in runs}
    kept = [row for row in rows(path) if row["recipe"] not in names]
    found = sorted(
        [*kept, *(row for run in runs for row in measured(run, data))],
        key=lambda row: (row["data"], row["recipe"], row["entry"], row["metric"]),
    )
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(found)


def number(value: str) -> str:
    """Return a number with three decimals and no leading zero."""
    return f"{float(value):.3f}".replace("0.", ".", 1) if value else ""


def cell(row: Row, results: Mapping[tuple[str, ...], Row], data: str) -> str:
    """Return a value with its interval, or an empty cell."""
    recipe, entry = row["recipe"], row["entry"]
    if data == "real":
        recipe = row.get("real_recipe") or recipe.replace(".yaml", "_spa.yaml")
        entry = row.get("real_entry") or entry
    found = results.get((data, recipe, entry, row["metric"]))
    if found is None:
        return ""
    interval = f" [{number(found['low'])}, {number(found['high'])}]" if found["low"] else ""
    return f"{number(found['value'])}{interval}" + (f" ({found['mark']})" if found["mark"] else "")


def section(paper: str, results: Mapping[tuple[str, ...], Row]) -> str:
    """Return the table of one paper."""
    lines = [
        f"### {PAPERS[paper]}",
        "",
        "| part | asked or printed | here | printed | planted | real |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows(PRINTED / f"{paper}.csv"):
        here = (
            row["difference"] if row["verdict"] == "differs" else f"{row['verdict']}: {row['difference']}".rstrip(": ")
        )
        entry = f" (`{row['entry']}`)" if row["entry"] else ""
        printed = f"{row['metric']} {number(row['printed'])}" if row["printed"] else ""
        cells = (
            row["part"],
            row["row"] + entry,
            here,
            printed,
            cell(row, results, "planted"),
            cell(row, results, "real"),
        )
        lines.append(f"| {' | '.join(text.replace('|', '/') for text in cells)} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """Return the page with the tables of the files. Raises `SystemExit` if it lacks the markers."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} needs the two lines {BEGIN} and {END}: the tables go between them")
    key = ("data", "recipe", "entry", "metric")
    results = {tuple(row[name] for name in key): row for row in rows(RESULTS / "papers.csv")}
    every = [row for paper in PAPERS for row in rows(PRINTED / f"{paper}.csv")]
    counts = {verdict: sum(row["verdict"] == verdict for row in every) for verdict in VERDICTS}
    summary = (
        f"{len(every)} lines: {counts['faithful']} are faithful, {counts['differs']} differ for the reason in the "
        f"line, {counts['missing']} are not there."
    )
    return (
        f"{head}{begin}\n{summary}\n\n" + "\n\n".join(section(paper, results) for paper in PAPERS) + f"\n\n{end}{tail}"
    )


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--collect", choices=["planted", "real"], help="add numbers of the given runs")
    options.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is not up to date")
    options.add_argument("runs", nargs="*", type=Path, help="finished runs in folders named after their recipe")
    given = options.parse_args(arguments)
    if given.collect:
        collect(given.collect, given.runs)
        return 0
    text = PAGE.read_text(encoding="utf-8")
    made = page(text)
    if given.check and made != text:
        print("docs/papers.md is not what the files say: run `python benchmarks/papers_table.py`", file=sys.stderr)
        return 1
    if not given.check:
        PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
