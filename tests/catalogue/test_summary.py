from __future__ import annotations

from pathlib import Path

from toolkit.catalogue.playlist_summary import Summary, summarise
from toolkit.catalogue.readers.archive import ArchiveReader
from toolkit.catalogue.records import Field, TrackRecord

FILES = Path(__file__).parents[1] / "fixtures" / "readers"


def test_summary_counts_fields_of_a_later_record() -> None:
    """Summarise the large archive, where a second record adds the features of a track."""
    facts = summarise(ArchiveReader(FILES / "archive-large")).facts()

    assert {(row["field"], row["tracks"]) for row in facts["fields"]} >= {("title", 2), ("audio_features", 1)}


def test_summary_counts_a_field_once_under_the_first_source() -> None:
    summary = Summary()
    for source in ("first", "second"):
        summary.track(TrackRecord("local:a", "Rain", fields={"lyrics": Field("la", source)}))

    assert summary.fields == {("title", "", None): 1, ("lyrics", "first", None): 1}
