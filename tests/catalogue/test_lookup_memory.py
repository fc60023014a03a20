"""Memory of counting the sources of a field, which does not grow with its values."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from collectors.library import open_library
from collectors.library_export import export
from toolkit.catalogue import store
from toolkit.catalogue.records import Field, TrackRecord


def test_export_of_a_larger_library_takes_memory_for_its_ids_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOOKED_UP", 500)

    def peak(n: int) -> float:
        with open_library(tmp_path / str(n), new=True) as library:
            library.add(
                TrackRecord(f"local:t{number}", fields={"lyrics": Field(f"{number} {'la ' * 3000}", "lrclib")})
                for number in range(n)
            )
            tracemalloc.start()
            assert export(library, "lyrics", tmp_path / "lyrics.parquet") == n
            found = tracemalloc.get_traced_memory()[1] / 2**20
            tracemalloc.stop()
            assert library.provenance("lyrics") == [
                {"field": "lyrics", "source": "lrclib", "train_allowed": None, "n": n}
            ]
        return found

    peak(10)  # imports
    assert peak(4_500) < peak(1_500) + 2  # the other 3,000 texts are 26 MB
