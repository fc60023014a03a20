"""`segue encoders`: which encoders there are."""

from __future__ import annotations

from typing import Annotated

import typer

from toolkit.cli import Debug


def encoders(json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False, debug: Debug = False) -> None:
    """List the encoders: what they read, what they give, where they come from."""
    from toolkit.encoders.registry import describe

    rows = describe()
    if json:
        from json import dumps

        print(dumps(rows, ensure_ascii=False, indent=1))
        return
    import sys

    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("encoder", "reads", "dim", "learns", "weights", "package", "source"):
        table.add_column(name, no_wrap=name == "encoder")
    for row in rows:
        if row["error"]:
            table.add_row(row["name"], *[""] * 4, row["package"], Text(row["error"], style="red"))
            continue
        learns, dim = "yes" if row["learns"] else "no", "learned" if row["dim"] is None else str(row["dim"])
        table.add_row(row["name"], row["kind"], dim, learns, row["weights_licence"] or "–", row["package"], Text(row["source"]))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
