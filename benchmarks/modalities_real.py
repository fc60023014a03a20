"""Tables and figure of docs/papers/modalities_real.md, from a finished run of recipes/papers/modalities_real.yaml.

python benchmarks/modalities_real.py runs/modalities-real    # numbers of the run to results/modalities_real.json
python benchmarks/modalities_real.py                         # rewrite the page's tables and its figure
python benchmarks/modalities_real.py --check                 # 1 if the page is not up to date
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "modalities_real.json"
PAGE = ROOT / "docs" / "papers" / "modalities_real.md"
FIGURE = PAGE.with_suffix(".svg")
BEGIN, END = "<!-- benchmarks/modalities_real.py -->", "<!-- ends -->"
SLICES = {"all": "all tracks", "modalities:all": "tracks with all four"}
COLOURS = {
    "Ids alone": "#777777",
    "One modality": "#4477aa",
    "Pairs": "#228833",
    "Triples": "#ccbb44",
    "All four": "#ee6677",
    "Late: a transformer each": "#aa3377",
    "Learned vectors": "#000000",
    "Others": "#bbbbbb",
}

Result = Mapping[str, Any]


def results(run: Path) -> dict[str, Any]:
    """Return the numbers of a run over five folds that the page needs."""

    def read(name: str, folder: Path = run) -> Any:
        return json.loads((folder / name).read_text(encoding="utf-8"))

    folds = sorted(run.glob("fold-*"))
    chosen = [row for fold in folds for row in read("coverage.json", fold) if "chosen" in row]
    keys = ("system", "slice", "metric", "k", "value", "ci_low", "ci_high", "n")
    metrics = [{key: row[key] for key in keys} for row in read("metrics.json") if row["split"] == "test"]
    paired = ("system", "slice", "metric", "k", "difference", "ci_low", "ci_high", "p_holm")
    return {
        "order": [(row["system"], row["group"]) for row in read("table.json")],
        "metrics": [row for row in metrics if row["slice"] in SLICES],
        "to_four": [{key: row[key] for key in paired} for row in read("comparisons.json") if row["slice"] in SLICES],
        "attribution": [
            {key: row[key] for key in ("modality", "way", *paired)}
            for row in read("attribution.json")["differences"]
            if row["slice"] == "all"
        ],
        "choices": {
            name: dict(Counter(row["chosen"] for row in chosen if row["modality"] == name).most_common())
            for name in dict.fromkeys(row["modality"] for row in chosen)
        },
        "folds": len(folds),
    }


def number(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1)


def interval(row: Result) -> str:
    return f"{number(row['value'])} [{number(row['ci_low'])}, {number(row['ci_high'])}]"


def signed(row: Result) -> str:
    """Return a difference with its interval, bold if the interval excludes 0."""
    low, high = row["ci_low"], row["ci_high"]
    text = f"{row['difference']:+.3f} [{low:+.3f}, {high:+.3f}]".replace("+0.", "+.").replace("-0.", "−.")
    return f"**{text}**" if low > 0 or high < 0 else text


def find(rows: Iterable[Result], **wanted: object) -> Result | None:
    return next((row for row in rows if all(row[key] == value for key, value in wanted.items())), None)


def main_table(found: Result) -> list[str]:
    lines = [
        "| row | Recall@50 | Recall@500 | Recall@500, tracks with all four | Recall@500 less `four` |",
        "|---|---|---|---|---|",
    ]
    group = ""
    for system, heading in found["order"]:
        if find(found["metrics"], system=system, slice="all", metric="recall", k=50) is None:
            continue
        if heading != group:
            lines.append(f"| *{heading}* | | | | |")
            group = heading
        cells = []
        for part, k in (("all", 50), ("all", 500), ("modalities:all", 500)):
            row = find(found["metrics"], system=system, slice=part, metric="recall", k=k)
            cells.append("" if row is None else interval(row))
        paired = find(found["to_four"], system=system, slice="all", metric="recall", k=500)
        lines.append(f"| `{system}` | {' | '.join(cells)} | {'' if paired is None else signed(paired)} |")
    return lines


def attribution_table(found: Result) -> list[str]:
    lines = [
        "| model | modality | left out: Recall@50 | Recall@500 | shuffled: Recall@50 | Recall@500 |",
        "|---|---|---|---|---|---|",
    ]
    pairs = dict.fromkeys((row["system"], row["modality"]) for row in found["attribution"])
    for system, modality in pairs:
        cells = [
            find(found["attribution"], system=system, modality=modality, way=way, metric="recall", k=k)
            for way in ("left out", "shuffled")
            for k in (50, 500)
        ]
        lines.append(f"| `{system}` | {modality} | {' | '.join('' if row is None else signed(row) for row in cells)} |")
    return lines


def choices(found: Result) -> str:
    said = [
        f"{name}: "
        + ", ".join(f"`{encoder}` in {count} of {found['folds']} folds" for encoder, count in counts.items())
        for name, counts in found["choices"].items()
    ]
    return "Chosen on validation: " + "; ".join(said) + "."


def page(text: str, found: Result) -> str:
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE} needs the two lines {BEGIN} and {END}: the tables go between them")
    parts = [[choices(found)], main_table(found), attribution_table(found)]
    return f"{head}{begin}\n" + "\n\n".join("\n".join(lines) for lines in parts) + f"\n{end}{tail}"


def draw(found: Result) -> None:
    """Draw Recall@500 of every row with its interval."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "segue"
    from matplotlib import pyplot as plt

    rows = [
        (system, group, row)
        for system, group in found["order"]
        if (row := find(found["metrics"], system=system, slice="all", metric="recall", k=500)) is not None
    ]
    figure, axes = plt.subplots(figsize=(8, 0.24 * len(rows) + 1))
    for place, (_, group, row) in enumerate(rows):
        colour = COLOURS.get(group, "#bbbbbb")
        axes.plot([row["ci_low"], row["ci_high"]], [place, place], color=colour, linewidth=2, alpha=0.5)
        axes.plot(row["value"], place, "o", color=colour, markersize=5)
    axes.set_yticks(range(len(rows)), [system for system, _, _ in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("Recall@500 on the test playlists of five folds, with 95 % intervals")
    axes.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    figure.savefig(FIGURE, metadata={"Date": None})


def main(arguments: Sequence[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="change nothing; exit 1 if the page is not up to date")
    options.add_argument("run", nargs="?", type=Path, help="a finished run")
    given = options.parse_args(arguments)
    if given.run is not None:
        RESULTS.write_text(json.dumps(results(given.run), indent=1) + "\n", encoding="utf-8")
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    text = PAGE.read_text(encoding="utf-8")
    made = page(text, found)
    if given.check:
        if made != text:
            print("the page is not up to date: run `python benchmarks/modalities_real.py`", file=sys.stderr)
        return int(made != text)
    PAGE.write_text(made, encoding="utf-8")
    draw(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
