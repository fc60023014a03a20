"""Tests that the catalogue returns the same values from PostgreSQL and SQLite.

`SEGUE_TEST_POSTGRESQL` can be set to the URL of an empty database. By default the tests start a server.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.catalogue import postgresql_server
from toolkit.catalogue.database_schema import METADATA
from toolkit.catalogue.readers.archive import ArchiveReader
from toolkit.catalogue.store import Catalogue

READERS = Path(__file__).parents[1] / "fixtures" / "readers"

CURE = "set SEGUE_TEST_POSTGRESQL=postgresql+psycopg://user@host/empty_database"

pytestmark = pytest.mark.postgresql


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    if given := os.environ.get("SEGUE_TEST_POSTGRESQL"):
        yield given
        return
    package = postgresql_server.package()
    if package is None or importlib.util.find_spec("psycopg") is None:
        pytest.skip(f"no PostgreSQL: pip install -e '.[dev]', or {CURE}")
    with ExitStack() as stack:
        try:
            started = stack.enter_context(postgresql_server.server(package))
        except (PermissionError, LookupError) as error:
            pytest.skip(
                f"PostgreSQL does not run as root, and nobody else can here ({error}):"
                f" run the tests as another user, or {CURE}"
            )
        yield started


@pytest.mark.parametrize("times", [1, 2])
def test_postgresql_gives_the_same_values_as_sqlite(times: int, url: str, tmp_path: Path) -> None:
    with Catalogue.open(url, blobs=tmp_path / "blobs") as server, Catalogue.open(tmp_path / "c.db") as file:
        METADATA.drop_all(server.engine)
        METADATA.create_all(server.engine)
        for _ in range(times):
            for folder in ("archive", "archive-large"):
                server.add(ArchiveReader(READERS / folder).read())
                file.add(ArchiveReader(READERS / folder).read())

        assert server.counts() == file.counts()
        ids = [*file.track_ids(), "t:gone"]
        for field in ("artist", "album_id", "duration", "{title} by {artist}: {genres}"):
            there, values = server.field_values(field, ids)
            expected, wanted = file.field_values(field, ids)
            assert (there.tolist(), list(values)) == (expected.tolist(), list(wanted))
        for source in (None, "spotify/p93all"):
            got = [np.asarray(part).tolist() for part in server.field_values("audio_features", ids, source=source)]
            assert got == [
                np.asarray(part).tolist() for part in file.field_values("audio_features", ids, source=source)
            ]
        assert server.provenance("audio_features") == file.provenance("audio_features")
