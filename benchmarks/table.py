"""README's table of speed, from the saved results.

python benchmarks/table.py            # rewrites the section between the markers in README.md
python benchmarks/table.py --check    # 1 where README.md does not hold what the results say
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
BEGIN, END = "<!-- speed: benchmarks/table.py -->", "<!-- speed ends -->"

COLUMNS = ("race", "ours", "peer", "ratio", "bar", "check", "machine", "when")


def main(arguments: list[str] | None = None) -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 where README.md is not what the results say"
    )
    given = options.parse_args(arguments)
    text = README.read_text(encoding="utf-8")
    made = replaced(text, markdown(saved(RESULTS)))
    if made == text:
        return 0
    if given.check:
        print(
            "README.md's table of speed is not what benchmarks/results say: run `python benchmarks/table.py`",
            file=sys.stderr,
        )
        return 1
    README.write_text(made, encoding="utf-8")
    return 0


def saved(folder: Path) -> list[dict[str, Any]]:
    """The results of races with two sides, in the order of their names; a quick one is no result."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    return [result for result in found if isinstance(result.get("ours"), Mapping) and not result.get("quick")]


def replaced(text: str, table: str) -> str:
    """`text` with the table between its markers. Raises `SystemExit` where it lacks them."""
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"README.md needs the two lines {BEGIN} and {END}: the table goes between them")
    return f"{head}{begin}\n{table}\n{end}{tail}"


def markdown(results: Iterable[Mapping[str, Any]]) -> str:
    """The table, and a line for each machine that it names by a letter."""
    machines: list[str] = []
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    for result in results:
        about = _machine(result)
        if about not in machines:
            machines.append(about)
        where = f"{chr(ord('A') + machines.index(about))}, load {result['machine']['load']}"
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in _rows(result, where)]
    return "\n".join(
        [*lines, "", *(f"{chr(ord('A') + number)}: {about}.  " for number, about in enumerate(machines))]
    ).rstrip()


def _rows(result: Mapping[str, Any], machine: str) -> Iterator[tuple[str, ...]]:
    """A race's row, and one for each further thing in it that has a bar of its own.

    `x: {ours, peer, ratio, bar}` is one more ratio; `bar_x` is the most that `x` may be.
    """
    about = result["machine"]
    when = ", ".join(part for part in (about.get("date"), about.get("commit")) if part)
    name = str(result["race"])
    yield (f"{name} ({result.get('unit', 'seconds')})", *_sides(result), str(result["check"]), machine, when)
    for key, part in result.items():
        if isinstance(part, Mapping) and {"ours", "ratio", "bar"} <= part.keys():
            yield (f"{name}, {_words(key)}", *_sides(part), "", machine, when)
        if key.startswith("bar_") and key.removeprefix("bar_") in result:
            yield (
                f"{name}, {_words(key.removeprefix('bar_'))}",
                *_bound(result[key.removeprefix("bar_")], part),
                "",
                machine,
                when,
            )


def _sides(part: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Ours, peer, ratio and bar; a bar that was missed says so."""
    ratio, bar = part.get("ratio"), part.get("bar")
    missed = ratio is not None and bar is not None and ratio < bar
    shown = "—" if ratio is None else f"**{_number(ratio)}×**"
    return (
        _spread(part["ours"]),
        _spread(part.get("peer")),
        shown,
        "—" if bar is None else f"{_number(bar)}×" + ", missed" * missed,
    )


def _bound(value: Any, most: float) -> tuple[str, str, str, str]:
    reached = max(value.values()) if isinstance(value, Mapping) else value
    return _number(reached), "—", "—", f"≤ {_number(most)}" + ", missed" * (reached > most)


def _spread(side: Any) -> str:
    """Median (minimum–maximum), or the one value."""
    if side is None:
        return "—"
    if not isinstance(side, Mapping):
        return _number(side)
    return f"{_number(side['median'])} ({_number(side['minimum'])}–{_number(side['maximum'])})"


def _machine(result: Mapping[str, Any]) -> str:
    about = result["machine"]
    versions = ", ".join(
        f"{name} {version}" for name, version in about["versions"].items() if name in ("python", "torch", "recbole")
    )
    device = ", ".join(part for part in (about["device"], about.get("processor")) if part)
    clock = {"wall": "wall clock", "processor": "the process's own time"}[result["clock"]]
    threads = "1 thread" if result["threads"] == 1 else f"{result['threads']} threads"
    return f"{device}, {about['cores']} cores, {about['memory_gb']} GB; {threads}, {clock}; {versions}"


def _words(key: str) -> str:
    return key.replace("_", " ")


def _number(value: float) -> str:
    """Three digits, all of a large whole number."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    raise SystemExit(main())
