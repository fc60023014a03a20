"""Splits by track, in which tested tracks are not in training playlists.

Each playlist is sorted into training, validation and test tracks, and every part is a span. The seeds of a playlist are
its training tracks, its tracks of the part are hidden, and only tracks of the part are ranked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from toolkit.catalogue.normalised_names import credited, normalised
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.distinct_texts import mapped
from toolkit.corpus.splits import BLOCK, HeldOut, PlaylistSet, Split, group_hash
from toolkit.errors import InputError, LeakError

PARTS = ("train", "valid", "test")
NOWHERE = 3  # number of no part

CURES = {
    "track": "assign each track to only one part",
    "artist": "use one part per artist in evaluation.split.field, or set evaluation.split.type to item_cold",
}
"""Cures in the error about a leak of tracks or artists."""
EXAMPLES = 3  # number of tracks or playlists left out that are listed


def prescribed(corpus: Corpus, labels: Sequence[str | None], *, min_tracks: int = 1) -> Split:
    """Return a split by track labels in the data (train, valid or test). `Split.facts` counts tracks without a label.

    Raises `InputError` for any other text.
    """
    known = {name: place for place, name in enumerate(PARTS)}
    strange = next((text for text in labels if text is not None and text.strip().lower() not in known), None)
    if strange is not None:
        raise InputError(
            f"split {strange!r} of a track must be train, valid or test: set evaluation.split.field to another field"
        )
    parts = np.array([NOWHERE if text is None else known[text.strip().lower()] for text in labels], np.int64)
    return _split(corpus, parts, min_tracks, {"tracks_without_split": parts == NOWHERE})


def item_cold(
    corpus: Corpus, *, folds: int = 5, test_fold: int = 0, valid_fraction: float = 0.1, min_tracks: int = 1
) -> Split:
    """Return a split by a hash of the track id, with one of `folds` folds for testing and `valid_fraction` of the
    others for validation.

    - min_tracks: shorter playlists are used in training only. So are playlists without a training track; `Split.facts`
      counts them.

    Raises `InputError` for an empty part.
    """
    parts = _parts(corpus.tracks["id"].to_pylist(), folds, test_fold, valid_fraction)
    return _split(corpus, parts, min_tracks, {})


def artist_disjoint(
    corpus: Corpus, *, folds: int = 5, test_fold: int = 0, valid_fraction: float = 0.1, min_tracks: int = 1
) -> Split:
    """Split like `item_cold`, but by a hash of the normalised artist.

    A track with several artists (names joined by a comma or `feat.`) counts for all of them. Tracks with artists in
    different parts and tracks without artists are excluded and counted in `Split.facts`.
    """
    tracks, names, of = credits(corpus)
    parts = _parts(names, folds, test_fold, valid_fraction)[of]
    lowest, highest = np.full(corpus.n_items, NOWHERE), np.full(corpus.n_items, -1)
    np.minimum.at(lowest, tracks, parts)
    np.maximum.at(highest, tracks, parts)
    labels = np.where(lowest == highest, lowest, NOWHERE)
    left_out = {"tracks_without_artist": highest < 0, "tracks_between_parts": (highest >= 0) & (lowest < highest)}
    return _split(corpus, labels, min_tracks, left_out)


def credits(corpus: Corpus) -> tuple[np.ndarray, list[str], np.ndarray]:
    """Return rows of the track table int64 [c], normalised artists, and their indices int64 [c], by credit.

    A track with n artists has n credits. A name with a comma counts as two artists, which is safe because neither is
    in two parts of a split. Raises `InputError` if no track has an artist.
    """
    listed = mapped(corpus.tracks["artist"], lambda text: list(map(normalised, credited(text))), pa.list_(pa.string()))
    tracks = pc.list_parent_indices(listed).to_numpy(zero_copy_only=False).astype(np.int64)
    encoded = pc.list_flatten(listed).dictionary_encode()
    if not len(tracks):
        raise InputError(
            "artist_disjoint requires tracks with artists: add artists or set evaluation.split.type to item_cold"
        )
    return tracks, encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def check_cold(split: Split, *, artists: bool) -> None:
    """Raise `LeakError` if a track, or with `artists` an artist, is in two of training, validation and test.

    Two spellings of a name are one artist.
    """
    corpus = split.train.corpus
    tracks = {
        "train": np.flatnonzero(split.train.counts()),
        **{name: getattr(split, name).candidates for name in PARTS[1:]},
    }
    names: list[str] = ["", *corpus.tracks["id"].to_pylist()]
    members, kind = tracks, "track"
    if artists:
        rows, names, of = credits(corpus)
        members, kind = {name: np.unique(of[np.isin(rows, ids - 1)]) for name, ids in tracks.items()}, "artist"
    for first, second in (("train", "test"), ("train", "valid"), ("valid", "test")):
        shared = np.intersect1d(members[first], members[second])
        if len(shared):
            seen = _spelled(corpus, rows[of == shared[0]], tracks[first], tracks[second]) if artists else ""
            raise LeakError(
                f"the split leaks: {kind} {names[int(shared[0])]!r} is in {first} and in {second}"
                f" ({len(shared)} such {kind}s){seen}: {CURES[kind]}"
            )


def _spelled(corpus: Corpus, rows: np.ndarray, *sides: np.ndarray) -> str:
    """Return the credits of the first track of an artist on each side, or an empty text if they are equal."""
    first, second = (corpus.tracks["artist"][int(rows[np.isin(rows + 1, side)][0])].as_py() for side in sides)
    return "" if first == second else f", credited as {first!r} and {second!r}"


def _parts(names: list[str], folds: int, test_fold: int, valid_fraction: float) -> np.ndarray:
    """Return the index in `PARTS` of each name by hash, int64 [n]."""
    hashes = np.fromiter(map(group_hash, names), np.int64, len(names))
    valid = (hashes // folds) % 1000 < round(valid_fraction * 1000)
    return np.where(hashes % folds == test_fold, 2, np.where(valid, 1, 0))


def _split(corpus: Corpus, labels: np.ndarray, min_tracks: int, left_out: dict[str, np.ndarray]) -> Split:
    """Return a split by track.

    - labels: int [V], index in `PARTS` by track, or `NOWHERE`.
    - left_out: masks of excluded tracks by reason, bool [V].
    """
    facts = {name: int(which.sum()) for name, which in left_out.items()}
    examples = {name: _first(corpus.tracks["id"], which) for name, which in left_out.items() if which.any()}
    of_item = np.concatenate([[NOWHERE], labels]).astype(np.int8)
    sorted_, counts = ordered(corpus, lambda low, high: of_item[corpus.items[low:high]], NOWHERE + 1)
    starts = np.asarray(corpus.offsets[:-1])
    ends = starts[:, None] + np.cumsum(counts, axis=1)
    train = np.flatnonzero(counts[:, 0])
    if not len(train):
        raise InputError(
            f"the train split is empty for {corpus.n_items} tracks:"
            " increase evaluation.split.folds to hold out fewer tracks"
        )
    held = []
    for place in (1, 2):
        found = (counts[:, place] > 0) & (np.diff(corpus.offsets) >= min_tracks)
        rows = np.flatnonzero(found & (counts[:, 0] > 0))
        name, unknown = f"{PARTS[place]}_playlists_without_training_tracks", found & (counts[:, 0] == 0)
        facts[name] = int(unknown.sum())
        if unknown.any():
            examples[name] = _first(corpus.playlists["id"], unknown)
        facts[f"{PARTS[place]}_tracks"] = int((labels == place).sum())
        if not len(rows):
            raise InputError(
                f"the {PARTS[place]} split is empty: {len(corpus)} playlists, min_tracks={min_tracks}:"
                " reduce evaluation.split.min_tracks or change the held-out shares in evaluation.split"
                " (folds, valid_fraction)"
            )
        candidates = np.flatnonzero(of_item == place).astype(np.int32)
        spans = (rows, starts[rows], ends[rows, 0], ends[rows, place])
        held.append(HeldOut(sorted_, *spans, hides=ends[rows, place - 1], candidates=candidates))
    return Split(PlaylistSet(sorted_, train, starts[train], ends[train, 0]), held[0], held[1], facts, examples)


def _first(ids: pa.ChunkedArray, chosen: np.ndarray) -> list[str]:
    return list(ids.take(np.flatnonzero(chosen)[:EXAMPLES]).to_pylist())


def ordered(corpus: Corpus, parts: Callable[[int, int], np.ndarray], n_parts: int) -> tuple[Corpus, np.ndarray]:
    """Return the corpus with playlists stably sorted by part, and entry counts by part, int64 [P, n_parts].

    - parts: function (low, high) that returns the parts 0…n_parts − 1 of entries low…high − 1 as int8.
    """
    items = np.empty(len(corpus.items), np.int32)
    plays = None if corpus.plays is None else np.empty(len(items), np.float32)
    times = None if corpus.times is None else np.empty(len(items), np.int64)
    offsets = np.asarray(corpus.offsets)
    counts = np.zeros((len(corpus), n_parts), np.int64)
    for first, last, low, high in corpus.blocks(BLOCK):
        rows = np.repeat(np.arange(last - first), np.diff(offsets[first : last + 1]))
        keys = rows * n_parts + parts(low, high)
        order = np.argsort(keys, kind="stable")
        counts[first:last] = np.bincount(keys, minlength=(last - first) * n_parts).reshape(-1, n_parts)
        items[low:high] = corpus.items[low:high][order]
        for column, original in ((plays, corpus.plays), (times, corpus.times)):
            if column is not None and original is not None:
                column[low:high] = original[low:high][order]
    return replace(corpus, items=items, plays=plays, times=times), counts
