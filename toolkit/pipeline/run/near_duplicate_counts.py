"""How many held-out playlists are nearly a training playlist: counted once a run, told, and reported as a slice."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toolkit.corpus.splits import HeldOut, Split
from toolkit.errors import LeakError
from toolkit.evaluation import leaks
from toolkit.files import write_bytes
from toolkit.pipeline.run.run_context import Context
from toolkit.run_directory import STAGES


def labelled(context: Context, split: Split, key: str) -> Split:
    """The split with each held-out playlist labelled by whether a training playlist shares most of its tracks.

    Under other protocols than those of whole playlists each is its own training playlist, and nothing is labelled. Raises `LeakError` under
    `strict_overlap` where a test playlist is such.
    """
    protocol = context.recipe.evaluation.split
    if not protocol.whole_lists:
        return split
    held, path = {"valid": split.valid, "test": split.test}, context.run.path(f"{STAGES}/overlap.npz")

    def make(_: Path) -> tuple[Sequence[Path], Any]:
        near = {name: leaks.near_copies(split, part) for name, part in held.items()}
        buffer = io.BytesIO()
        np.savez(buffer, **near)  # type: ignore[arg-type]
        write_bytes(path, buffer.getvalue())
        return [path], {name: int(each.sum()) for name, each in near.items()}

    counts = context.run.stage("overlap", context.inputs(split=key), make)
    with np.load(path, allow_pickle=False) as flags:
        split = replace(
            split, valid=_with_label(split.valid, flags["valid"]), test=_with_label(split.test, flags["test"])
        )
    if counts["test"]:
        told = f"{counts['test']:,} of {len(split.test):,} test playlists share more than half of their tracks with a training playlist"
        if protocol.stops_at_overlap:
            raise LeakError(
                f"{told} (strict_overlap: true): hold them out by group, or allow it with evaluation.split.strict_overlap: false"
            )
        context.reporter.note(f"{told} (Jaccard > .5): slice {leaks.OVERLAP}:{leaks.NEAR}")
    return split


def _with_label(part: HeldOut, near: np.ndarray) -> HeldOut:
    return replace(part, labels={**part.labels, leaks.OVERLAP: np.where(near, leaks.NEAR, leaks.APART)})
