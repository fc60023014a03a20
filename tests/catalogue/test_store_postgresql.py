"""The same records give the same answers on PostgreSQL as on SQLite.

Runs where `SEGUE_TEST_POSTGRESQL` holds the URL of an empty database.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from toolkit.catalogue.readers.archive import ArchiveReader
from toolkit.catalogue.schema import METADATA
from toolkit.catalogue.store import Catalogue

URL = os.environ.get("SEGUE_TEST_POSTGRESQL", "")
READERS = Path(__file__).parents[1] / "fixtures" / "readers"

pytestmark = pytest.mark.skipif(not URL, reason="SEGUE_TEST_POSTGRESQL names no database")


@pytest.mark.parametrize("times", [1, 2])
def test_same_as_sqlite(times: int, tmp_path: Path) -> None:
    with Catalogue.open(URL, blobs=tmp_path / "blobs") as server, Catalogue.open(tmp_path / "c.db") as file:
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
            assert got == [np.asarray(part).tolist() for part in file.field_values("audio_features", ids, source=source)]
        assert server.provenance("audio_features") == file.provenance("audio_features")
