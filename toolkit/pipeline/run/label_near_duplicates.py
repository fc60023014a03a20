"""Labels for held-out playlists that are near-duplicates of training playlists, reported as a slice."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from toolkit.corpus.splits import HeldOut, Split
from toolkit.evaluation import leaks
from toolkit.files import write_bytes
from toolkit.pipeline.run.run_context import Context
from toolkit.run_directory import STAGES


def label_near_duplicates(context: Context, split: Split, key: str) -> Split:
    """Return the split with a near-duplicate label for each held-out playlist.

    A near-duplicate shares most of its tracks with a training playlist. Only protocols that hold out whole playlists
    are labelled, because with other protocols each held-out playlist is also a training playlist.

    Raises `LeakError` with `strict_overlap` if a test playlist is a near-duplicate.
    """
    protocol = context.recipe.evaluation.split
    if not protocol.whole_lists:
        return split
    path = context.run.path(f"{STAGES}/overlap.npz")

    def make(_: Path) -> tuple[Sequence[Path], dict[str, int]]:
        near = {part: leaks.near_copies(split, held) for part, held in (("valid", split.valid), ("test", split.test))}
        buffer = io.BytesIO()
        np.savez(buffer, **near)  # type: ignore[arg-type]
        write_bytes(path, buffer.getvalue())
        return [path], {part: int(flags.sum()) for part, flags in near.items()}

    counts = context.run.stage("overlap", context.inputs(split=key), make)
    with np.load(path, allow_pickle=False) as flags:
        labelled = replace(
            split, valid=_with_label(split.valid, flags["valid"]), test=_with_label(split.test, flags["test"])
        )
    if protocol.stops_at_overlap:
        leaks.stop_at_near_copies(counts["test"], len(split.test))
    if counts["test"]:
        message = leaks.near_copies_message(counts["test"], len(split.test))
        context.reporter.note(f"{message} (Jaccard > .5): slice {leaks.OVERLAP}:{leaks.NEAR}")
    return labelled


def _with_label(part: HeldOut, near: np.ndarray) -> HeldOut:
    return replace(part, labels={**part.labels, leaks.OVERLAP: np.where(near, leaks.NEAR, leaks.APART)})
