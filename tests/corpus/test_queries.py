from __future__ import annotations

import numpy as np
import pytest

from toolkit.corpus.queries import Queries

LISTS = [[3, 1, 3], [], [2], [5, 4, 3, 2]]


def test_queries_from_lists_have_seeds_offsets_and_lengths() -> None:
    queries = Queries.of(LISTS, titles=["a", None, "c", "d"])

    assert len(queries) == 4
    assert queries.seeds.tolist() == [3, 1, 3, 2, 5, 4, 3, 2]
    assert queries.seeds.dtype == np.int32
    assert queries.offsets.tolist() == [0, 3, 3, 4, 8]
    assert queries.lengths.tolist() == [3, 0, 1, 4]


def test_queries_without_playlists_are_empty() -> None:
    queries = Queries.of([])

    assert len(queries) == 0
    assert queries.matrix(3).shape == (0, 4)
    assert queries.last(5)[0].shape == (0, 1)


def test_query_matrix_counts_a_repeated_track_once() -> None:
    assert Queries.of(LISTS).matrix(5).toarray().tolist() == [
        [0, 1, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0],
        [0, 0, 1, 1, 1, 1],
    ]


@pytest.mark.parametrize("length", range(1, 7))
def test_last_seeds_equal_a_slow_loop(length: int) -> None:
    ids, lengths = Queries.of(LISTS).last(length)

    cut = [seeds[-length:] for seeds in LISTS]
    width = max(len(seeds) for seeds in cut)
    assert ids.tolist() == [seeds + [0] * (width - len(seeds)) for seeds in cut]
    assert lengths.tolist() == [len(seeds) for seeds in cut]


def test_part_returns_a_range_of_queries() -> None:
    whole = Queries(*_arrays(), titles=["a", "b", "c", "d"], users=["u", None, "v", None], rows=np.array([9, 8, 7, 6]))

    part = whole.part(2, 4)

    assert part.seeds.tolist() == [2, 5, 4, 3, 2]
    assert part.offsets.tolist() == [0, 1, 5]
    assert (part.titles, part.users, part.rows.tolist()) == (["c", "d"], ["v", None], [7, 6])
    assert part.matrix(5).toarray().tolist() == whole.matrix(5).toarray()[2:].tolist()


def _arrays() -> tuple[np.ndarray, np.ndarray]:
    queries = Queries.of(LISTS)
    return queries.seeds, queries.offsets


def test_query_matrix_does_not_reorder_seeds() -> None:
    """Check that `matrix` copies the seeds, because SciPy sorts indices in place to sum duplicates."""
    queries = Queries.of([[5, 2, 9, 2], [7, 1]])

    queries.matrix(9)

    assert queries.seeds.tolist() == [5, 2, 9, 2, 7, 1]
    assert queries.offsets.tolist() == [0, 4, 6]
    assert queries.last(1)[0].tolist() == [[2], [1]]
