"""Detection of playlist labels that are declared as content of tracks.

The owner's mood or the genre of a playlist is the same for all of its tracks. As a field of the track it leaks: a
hidden track that is in a single playlist has the label of that playlist, and the seeds have the same label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from toolkit.catalogue.readers.tables.label_counts import CONSTANT, NEARLY, LabelCounts
from toolkit.errors import LeakError

BEYOND_CHANCE = 0.5
"""Smallest share of constant playlists among those that are not constant by chance. A flag that hardly any track has is
constant in nearly all playlists, but only by chance. A label is constant in all of the others too."""

SIGNIFICANT = 0.001
"""Largest probability that chance makes so many playlists constant. Three playlists of two tracks are not enough."""

FOLLOWING = 0.01
"""Smallest share, and at least one track, of the tracks in several playlists whose value changes with the playlist. A
column that describes the track has no such track, apart from errors. An error in a single row is not the value of
its playlist and is not counted."""


def check_labels(labels: Sequence[LabelCounts], allowed: str | None) -> None:
    """Raise `LeakError` for a column that labels the playlist, unless the user gives a reason why it is allowed."""
    if allowed is None:
        for counts in labels:
            if is_leak(counts):
                raise LeakError(
                    f"{described(counts)}: it labels the playlist, and would reveal the playlist of a hidden track."
                    " Declare it under `playlist_fields`, or set `data.allow_label_leak` to the reason why it is"
                    " allowed"
                )


def doubtful(labels: Sequence[LabelCounts], allowed: str | None) -> tuple[str, ...]:
    """Return a warning for each column that may label the playlist, or that does so and is allowed by the user."""
    lines = []
    for counts in labels:
        if is_leak(counts):
            lines.append(f"{described(counts)}: it labels the playlist, allowed by `allow_label_leak`: {allowed}")
        elif is_constant(counts):
            lines.append(
                f"{described(counts)}: if it labels the playlist, declare it under `playlist_fields`, because it would"
                " reveal the playlist of a hidden track"
            )
    return tuple(lines)


def is_leak(counts: LabelCounts) -> bool:
    """Return whether a column labels the playlist: constant in playlists, different for a track in other playlists."""
    return is_constant(counts) and counts.following >= max(1, FOLLOWING * counts.tracks)


def is_constant(counts: LabelCounts) -> bool:
    """Return whether a column is constant in nearly all playlists, and in clearly more of them than by chance."""
    n, constant, chance = counts.playlists, counts.constant, counts.chance
    if not n or constant < CONSTANT * n or constant - chance < BEYOND_CHANCE * (n - chance):
        return False
    return constant > chance and _tail(constant / n, chance / n, n) <= SIGNIFICANT


def described(counts: LabelCounts) -> str:
    """Return the column, its options and its counts in one line."""
    options = ", ".join(f"`{option}`" for option in counts.options)
    sample = " of a sample" if counts.sampled else ""
    nearly = f" for at least {100 * NEARLY:.0f} % of the tracks" if counts.nearly else ""
    return (
        f"column {counts.column!r} ({options}) is constant{nearly} in {counts.constant:,} of {counts.playlists:,}"
        f" playlists{sample} ({counts.chance:,.1f} expected by chance), and varies for {counts.varying:,} of the"
        f" {counts.tracks:,} tracks that are in several playlists"
    )


def _tail(share: float, chance: float, n: int) -> float:
    """Return a bound on the probability that chance makes at least this share of n playlists constant.

    Chernoff's bound of the binomial tail, which holds for unequal probabilities too (Hoeffding 1956).
    """
    if chance <= 0:
        return 0.0
    exponent = share * math.log(share / chance)
    if share < 1:
        exponent += (1 - share) * math.log((1 - share) / (1 - chance))
    return math.exp(-n * exponent)
