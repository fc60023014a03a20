"""Command `segue agreement`: how alike the rankings of a run's systems are."""

from itertools import combinations
from pathlib import Path
from typing import Annotated

import typer

import segue


def agreement(
    run_dir: Annotated[Path, typer.Argument(help="Directory of a finished run.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, help="How many tracks of each ranking to compare.")] = 20,
) -> None:
    """Print the share of the first k tracks that each two systems of a run have in common."""
    rankings = segue.Run(run_dir).rankings
    lists = rankings[rankings["rank"] <= k].groupby(["system", "playlist"])["track"].agg(set).unstack("system").dropna()
    if lists.shape[1] < 2:
        raise segue.InputError(f"{run_dir} has rankings of {lists.shape[1]} system: two are needed to compare them")
    for one, other in combinations(lists.columns, 2):
        common = [len(a & b) / max(len(a | b), 1) for a, b in zip(lists[one], lists[other], strict=True)]
        print(f"{one} and {other}: {sum(common) / len(common):.2f}")
