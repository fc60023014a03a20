"""Recordings: groups of track ids of one recording, by codes or else by names and durations.

Catalogues often list a recording several times: as a single, on an album, on a compilation, from another source. A
split by id treats these as different tracks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from toolkit.catalogue.normalised_names import credited, folded, normalised, without_guests
from toolkit.corpus.distinct_texts import mapped, numbered

Texts: TypeAlias = "Sequence[str | None] | pa.ChunkedArray | pa.Array"

APART_MS = 2000
"""Largest difference in milliseconds between the durations of one recording."""

CODES = ("isrc", "mbid")
"""Schemes of ids, and names of fields, that identify recordings."""

_REMASTER = re.compile(
    r"\b(?:(\d{4}) )?(?:digital(?:ly)? )?remaster(?:ed|ing)?(?: version)?(?: (?:in )?(\d{4}))?(?: version)?\b"
)
_VERSIONS = r"live|unplugged|acoustic|instrumentals?|demos?|karaoke"
_VERSION_ALBUM = (
    rf"[(\[][^)\]]*\b(?:{_VERSIONS})\b|\s-\s.*\b(?:{_VERSIONS})\b|\blive (?:at|from|in|on)\b|^(?:{_VERSIONS})\b"
    r"|\b(?:unplugged|instrumentals|demos|karaoke|in concert)\b|\blive$"
)
"""Album whose tracks are versions, whether or not their titles say so."""

_NUMBER = r"(?:\d{1,2}|[ivx]+)"
_GENERIC = (
    rf"^(?:(?:the )?(?:intro|introduction|outro|interlude|intermission|skit|untitled|prelude|prologue|epilogue|reprise"
    r"|overture|opening|ending|finale|coda|bonus|bonus track|hidden track|unknown|unknown track|no title"
    r"|(?:main|opening|end|closing) (?:theme|titles?|credits)|track|audio track|titel|pista|piste|part|chapter|movement"
    r"|allegro|adagio|andante|presto|largo|lento|moderato|vivace|menuetto|minuet|scherzo|rondo)"
    rf"(?: (?:no )?{_NUMBER})?|{_NUMBER})$"
)
"""Title that an artist gives to several recordings."""


def recordings(
    ids: Texts,
    titles: Texts,
    artists: Texts,
    albums: Texts,
    durations: np.ndarray | None = None,
    codes: Mapping[str, Texts] | None = None,
) -> np.ndarray:
    """Return the recording of each track, int64 [V + 1]: the smallest item id of the group, 0 for padding.

    - ids: external ids [V]. Codes are also read from ids such as `isrc:…` and `mbid:…`.
    - titles, artists, albums: names [V], None if unknown. Several artists are joined as in a corpus.
    - durations: float [V], seconds, NaN if unknown. Without durations, only names are compared.
    - codes: texts [V] by kind (`isrc`, `mbid`), None if unknown.

    Two tracks are one recording if they have a code in common, or else the same normalised artists (guests in the title
    included) and title, and durations within 2 s. All words of a title count, and so do versions (live, remix,
    remaster, …), parts and numbers. A track of a live album has the word `live`, even where its title does not.
    Names never group tracks without a title or an artist. Generic titles (`Intro`) also require the same album and
    known durations, and a title that is the artist's name requires known durations.

    The rule of 2 s is not transitive. Tracks with the same names are therefore sorted by duration. A group has all
    tracks within 2 s of its shortest track, and the next group starts after it. No group spans more than 2 s, whatever
    the order of the tracks. A track of unknown duration joins the group of its names if there is only one.
    """
    n = len(ids)
    coded = [_by_code(texts, kind) for kind, texts in (codes or {}).items()] + [_by_id(ids, kind) for kind in CODES]
    links = [_chained(*_by_names(titles, artists, albums, durations)), _chained(*_joined(coded))]
    first, second = (np.concatenate(ends) for ends in zip(*links, strict=True))
    if not len(first):
        return np.arange(n + 1)
    graph = sp.coo_matrix((np.ones(len(first), bool), (first, second)), (n, n))
    _, groups = connected_components(graph, directed=False)
    smallest = np.full(n, n + 1, np.int64)
    np.minimum.at(smallest, groups, np.arange(1, n + 1))
    return np.concatenate([[0], smallest[groups]])


def title_key(title: str) -> str:
    """Return a title in the form in which recordings are compared, and its guests after a line break."""
    bare, guests = without_guests(folded(title))
    words = normalised(bare)
    if "remaster" in words:
        words = _REMASTER.sub(lambda match: " ".join(["remaster", *filter(None, match.groups())]), words)
    return "\n".join([words, *people(guests)]) if guests else words


def people(names: Sequence[str]) -> list[str]:
    """Return the normalised people of names in alphabetical order. `A & B` are two people in this comparison."""
    return sorted({each for name in names for each in normalised(name).split(" and ")} - {""})


def _by_names(
    titles: Texts, artists: Texts, albums: Texts, durations: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of tracks with usable names, and equal numbers for equal names and durations, int64 [m] each."""
    keys = mapped(_column(titles), title_key)
    titled = pc.replace_substring_regex(keys, r"\n(?s:.*)", "")
    guests = pc.if_else(pc.match_substring(keys, "\n"), pc.replace_substring_regex(keys, r"^[^\n]*\n", ""), None)
    names = mapped(_column(artists), lambda text: "\n".join(people(credited(text))))
    acts, songs = numbered(_named(_with_guests(names, guests))), numbered(_named(titled))
    version = _flags(pc.match_substring_regex(pc.utf8_lower(_column(albums)), _VERSION_ALBUM))
    version &= ~_flags(pc.match_substring_regex(titled, rf"\b(?:{_VERSIONS})\b"))
    generic = np.flatnonzero(_flags(pc.match_substring_regex(titled, _GENERIC)))
    album, lengths = np.zeros(len(songs), np.int64), _milliseconds(durations, len(songs))
    album[generic] = numbered(_named(mapped(_column(albums).take(pa.array(generic)), normalised))) + 1
    known = (acts >= 0) & (songs >= 0)
    # an artist listed as a track, or a song of the artist's own name
    known &= ~_flags(pc.equal(_column(titles), _column(artists))) | (lengths >= 0)
    known[generic] &= (album[generic] > 0) & (lengths[generic] >= 0)
    same = _numbers(acts, songs, version.astype(np.int64), album)
    rows = np.flatnonzero(known)
    return rows, _by_duration(same[rows], lengths[rows])


def _by_duration(names: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return equal numbers for tracks with equal names and durations within 2 s of the shortest, int64 [n].

    - names: int64 [n], equal for equal names.
    - lengths: int64 [n], milliseconds, -1 if unknown.
    """
    order = np.lexsort((lengths, names))
    keys = names[order] * 2**32 + np.minimum(lengths[order], 2**31) + 1
    begins = np.zeros(len(keys), bool)
    starts = np.flatnonzero(np.diff(names[order], prepend=-1))
    after = np.searchsorted(keys, keys + np.where(lengths[order] < 0, 0, APART_MS), side="right")
    while len(starts):  # one round per group of the names with most groups
        begins[starts] = True
        starts = after[starts]
        starts = starts[starts < len(keys)]
        starts = starts[~begins[starts]]
    groups = np.cumsum(begins) - 1
    # tracks of unknown duration come first: they join the next group if it is the only other group of their names
    of_group, unknown = names[order][begins], lengths[order][begins] < 0
    counts = np.bincount(of_group)[of_group] if len(of_group) else of_group
    groups[unknown[groups] & (counts[groups] == 2)] += 1
    found = np.empty(len(names), np.int64)
    found[order] = groups
    return found


def _with_guests(names: pa.Array, guests: pa.Array) -> pa.Array:
    """Return the artists of each track and the guests in its title as one text."""
    some = pc.is_valid(guests)
    pairs = pc.binary_join_element_wise(names.filter(some), guests.filter(some), "\n")
    whole = mapped(pairs, lambda pair: "\n".join(sorted(set(pair.split("\n")))))
    return pc.replace_with_mask(names, some, whole)


def _named(texts: pa.Array) -> pa.Array:
    """Return the texts with null for empty ones."""
    return pc.if_else(pc.equal(texts, ""), None, texts)


def _by_code(texts: Texts, kind: str) -> tuple[np.ndarray, pa.Array]:
    """Return rows of tracks with a code, and their codes."""
    codes = mapped(_column(texts), lambda code: _code(kind, code))
    rows = np.flatnonzero(pc.is_valid(codes).to_numpy(zero_copy_only=False))
    return rows, codes.take(pa.array(rows))


def _by_id(ids: Texts, kind: str) -> tuple[np.ndarray, pa.Array]:
    column, scheme = _column(ids), f"{kind}:"
    rows = np.flatnonzero(pc.fill_null(pc.starts_with(column, scheme), False).to_numpy(zero_copy_only=False))
    return rows, mapped(column.take(pa.array(rows)), lambda text: _code(kind, text.removeprefix(scheme)))


def _code(kind: str, code: str) -> str | None:
    bare = re.sub(r"[\s-]", "", code).casefold()
    return f"{kind}:{bare}" if bare else None


def _joined(coded: Sequence[tuple[np.ndarray, pa.Array]]) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of all tracks with codes, and equal numbers for equal codes, int64 [m] each."""
    rows, codes = zip(*coded, strict=True)
    return np.concatenate(rows), numbered(pa.concat_arrays(codes))


def _chained(rows: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of rows that connect all rows with equal keys."""
    order = np.argsort(keys, kind="stable")
    same = np.diff(keys[order]) == 0
    return rows[order][:-1][same], rows[order][1:][same]


def _numbers(*columns: np.ndarray) -> np.ndarray:
    """Return equal numbers for equal rows of columns of small non-negative integers (-1 is allowed), int64 [n]."""
    whole = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        whole = np.unique(whole * (column.max(initial=0) + 2) + column + 1, return_inverse=True)[1]
    return whole.astype(np.int64)


def _milliseconds(durations: np.ndarray | None, n: int) -> np.ndarray:
    """Return durations in whole milliseconds, int64 [n], and -1 for unknown or impossible durations."""
    if durations is None:
        return np.full(n, -1, np.int64)
    seconds = np.asarray(durations, np.float64)
    usable = np.isfinite(seconds) & (seconds > 0) & (seconds < 10**6)
    return np.where(usable, np.rint(np.where(usable, seconds, 0) * 1000), -1).astype(np.int64)


def _flags(flags: pa.Array) -> np.ndarray:
    return np.asarray(pc.fill_null(flags, False).to_numpy(zero_copy_only=False), bool)


def _column(texts: Texts) -> pa.Array:
    whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    return whole if isinstance(whole, pa.Array) else pa.array(whole, pa.string())
