"""`segue submit` and `segue verify-submission`: the challenge's submission file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.commands.application import Debug

Challenge = Annotated[Path, typer.Option("--challenge", help="The challenge's challenge_set.json.", show_default=False)]


def submit(
    run_dir: Annotated[Path, typer.Argument(help="A finished run's directory.", show_default=False)],
    challenge: Challenge,
    team: Annotated[str, typer.Option(help="Name of the team.", show_default=False)],
    email: Annotated[str, typer.Option(help="Its e-mail address.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Where to write; gzipped where the name ends in .gz.")] = Path(
        "submission.csv.gz"
    ),
    system: Annotated[
        str | None, typer.Option(help="Which system to use; default: the best on validation.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a submission file for the Million Playlist Dataset challenge: 500 tracks for each playlist."""
    from toolkit.continuation import Continuation
    from toolkit.continuation.challenge_submission import challenge_set, verify, write
    from toolkit.errors import SegueError

    playlists = challenge_set(challenge)
    continuation = Continuation.load(run_dir, system)
    filled = write(continuation, playlists, out, team=team, email=email)
    if faults := verify(out, playlists):
        raise SegueError(f"{out} breaks the challenge's rules: {faults[0]} ({len(faults)} faults)")
    print(f"{out}: {len(playlists):,} playlists by {continuation.system}, {filled:,} of them filled up by popularity")


def verify_submission(
    submission: Annotated[Path, typer.Argument(help="A submission file, gzipped or not.", show_default=False)],
    challenge: Challenge,
    debug: Debug = False,
) -> None:
    """Check a submission file against the challenge set and the challenge's rules."""
    from toolkit.continuation.challenge_submission import challenge_set, verify
    from toolkit.errors import DataError

    playlists = challenge_set(challenge)
    if faults := verify(submission, playlists):
        for fault in faults[:20]:
            print(fault)
        raise DataError(f"{submission} breaks the challenge's rules in {len(faults)} places: the first is {faults[0]}")
    print(f"{submission} keeps the challenge's rules: {len(playlists):,} playlists of 500 tracks")
