"""Commands `segue submit` and `segue verify-submission`, which write and check a challenge submission."""

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
    email: Annotated[str, typer.Option(help="E-mail address of the team.", show_default=False)],
    out: Annotated[Path, typer.Option(help="File to write, gzipped if the name ends in .gz.")] = Path(
        "submission.csv.gz"
    ),
    system: Annotated[
        str | None, typer.Option(help="The system to use; default: the best on validation.", show_default=False)
    ] = None,
    debug: Debug = False,
) -> None:
    """Write a submission file for the Million Playlist Dataset challenge, with 500 tracks per playlist."""
    from toolkit.continuation import Continuation
    from toolkit.continuation.challenge_submission import challenge_set, verify, write
    from toolkit.errors import SegueError

    playlists = challenge_set(challenge)
    continuation = Continuation.load(run_dir, system)
    filled = write(continuation, playlists, out, team=team, email=email)
    if faults := verify(out, playlists):
        raise SegueError(f"{out} must follow the challenge's rules ({len(faults)} violations): {faults[0]}")
    print(f"{out}: {len(playlists):,} playlists by {continuation.system}, {filled:,} of them filled by popularity")


def verify_submission(
    submission: Annotated[Path, typer.Argument(help="A submission file, gzipped or not.", show_default=False)],
    challenge: Challenge,
    debug: Debug = False,
) -> None:
    """Check a submission file against the challenge set and rules."""
    from toolkit.continuation.challenge_submission import challenge_set, verify
    from toolkit.errors import DataError

    playlists = challenge_set(challenge)
    if faults := verify(submission, playlists):
        for fault in faults[:20]:
            print(fault)
        raise DataError(f"{submission} must follow the challenge's rules ({len(faults)} violations): {faults[0]}")
    print(f"{submission} follows the challenge's rules: {len(playlists):,} playlists of 500 tracks")
