from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from toolkit.catalogue import field_lookup
from toolkit.catalogue.records import Field, PlaylistRecord, TrackRecord
from toolkit.catalogue.store import Catalogue
from toolkit.errors import DataError, InputError, SegueError


@pytest.fixture
def catalogue(tmp_path: Path):
    with Catalogue.open(tmp_path / "deep" / "catalogue.db") as opened:
        yield opened


RAIN = TrackRecord("t:rain", "Rain", ("Ann", "Bo"), (), "First", None, 201.5, {"genres": Field("rock", "mb")})
SUN = TrackRecord("t:sun", "Sun", ("Bo",), (), None, None, None, source="mpd", train_allowed=False)
BARE = TrackRecord("t:bare")


def values(catalogue: Catalogue, field: str, ids: list[str], **options) -> list:
    """Return field values in the order of ids, or None where a value is missing."""
    present, found = catalogue.field_values(field, ids, **options)
    assert present.dtype == bool
    assert len(found) == present.sum()
    given = iter(found)
    return [next(given) if there else None for there in present]


def test_field_values_are_aligned_with_ids(catalogue: Catalogue) -> None:
    catalogue.add([RAIN, SUN, BARE])
    ids = ["t:sun", "t:gone", "t:rain", "t:bare", "t:sun"]

    assert values(catalogue, "title", ids) == ["Sun", None, "Rain", None, "Sun"]
    assert values(catalogue, "artist", ids) == ["Bo", None, "Ann, Bo", None, "Bo"]
    assert values(catalogue, "artist_id", ids) == ["name:bo", None, "name:ann", None, "name:bo"]
    assert values(catalogue, "album", ids) == [None, None, "First", None, None]
    assert values(catalogue, "album_id", ids) == [None, None, "name:first/ann", None, None]
    assert values(catalogue, "duration", ids) == [None, None, 201.5, None, None]
    assert values(catalogue, "genres", ids) == [None, None, "rock", None, None]


def test_reading_a_whole_column_equals_reading_in_chunks(catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = [
        TrackRecord(f"t:{i}", f"T{i}", (f"A{i % 7}", f"A{i % 5}b"), fields={"v": Field([i, 1.0])} if i % 3 else {})
        for i in range(2000)
    ]
    catalogue.add(tracks)
    catalogue.add_fields([("name:a5", "bio", Field("five", entity="artist"))])
    ids = [f"t:{i}" for i in range(1990, 10, -1)]

    chunked = {name: values(catalogue, name, ids) for name in ("title", "artist", "bio")}
    monkeypatch.setattr(field_lookup, "_WHOLE", 10)
    whole = {name: values(catalogue, name, ids) for name in ("title", "artist", "bio")}

    assert whole == chunked
    assert chunked["artist"][0] == "A2, A0b"
    assert chunked["bio"] == ["five" if int(track[2:]) % 7 == 5 else None for track in ids]


def test_field_template_fills_texts(catalogue: Catalogue) -> None:
    catalogue.add([RAIN, SUN, BARE])

    assert values(catalogue, "{title} by {artist}. {genres}", ["t:bare", "t:rain", "t:sun"]) == [
        None,
        "Rain by Ann, Bo. rock",
        "Sun by Bo",
    ]
    assert values(catalogue, "{title} ({duration} s)", ["t:rain", "t:sun"]) == ["Rain (201.5 s)", "Sun"]


def test_artist_and_album_fields_reach_every_track(catalogue: Catalogue) -> None:
    bo = TrackRecord("t:bo", "Solo", ("Bo",), album="First", fields={"bio": Field("Bo, born", entity="artist")})
    twin = TrackRecord("t:twin", "Twin", ("Ann",), album="First", fields={"label": Field("Indie", entity="album")})
    catalogue.add([RAIN, SUN, bo, twin])

    assert values(catalogue, "bio", ["t:rain", "t:sun", "t:bo", "t:twin"]) == ["Bo, born", "Bo, born", "Bo, born", None]
    # Ann's First is RAIN's album, Bo's First is another one
    assert values(catalogue, "label", ["t:rain", "t:bo", "t:twin"]) == ["Indie", None, "Indie"]


def test_field_of_the_track_takes_precedence_over_the_artist(catalogue: Catalogue) -> None:
    catalogue.add([RAIN, SUN])
    catalogue.add_fields([("name:bo", "mood", Field("of Bo", entity="artist")), ("t:sun", "mood", Field("own"))])

    assert values(catalogue, "mood", ["t:rain", "t:sun"]) == ["of Bo", "own"]


def test_field_with_the_highest_match_score_takes_precedence(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def add(text: str, source: str, score: float | None, at: float) -> None:
        monkeypatch.setattr(time, "time", lambda: at)
        catalogue.add([TrackRecord("t:x", fields={"lyrics": Field(text, source, match_score=score)})])

    add("weak and new", "a", 0.5, 30.0)
    add("strong and old", "b", 0.9, 10.0)
    assert values(catalogue, "lyrics", ["t:x"]) == ["strong and old"]
    add("strong and newer", "c", 0.9, 20.0)
    assert values(catalogue, "lyrics", ["t:x"]) == ["strong and newer"]
    add("by id", "d", None, 1.0)
    assert values(catalogue, "lyrics", ["t:x"]) == ["by id"]
    add("by id, again", "d", None, 2.0)
    assert values(catalogue, "lyrics", ["t:x"]) == ["by id, again"]
    assert values(catalogue, "lyrics", ["t:x"], source="a") == ["weak and new"]


def test_vectors_from_two_sources_are_not_mixed(catalogue: Catalogue) -> None:
    catalogue.add(
        [
            TrackRecord("t:a", fields={"sound": Field([1.0, 2.0], "spotify/one")}),
            TrackRecord("t:b", fields={"sound": Field([3.0, 4.0], "spotify/two")}),
            TrackRecord("t:c", fields={"sound": Field([5.0, 6.0], "librosa")}),
        ]
    )

    present, branch = catalogue.field_values("sound", ["t:a", "t:b"])
    assert present.tolist() == [True, True]
    assert np.array_equal(np.asarray(branch), np.array([[1, 2], [3, 4]], np.float32))
    assert np.asarray(branch).dtype == np.float32
    with pytest.raises(InputError, match=r"from one source \(librosa: 1, spotify: 2\).*set `source`"):
        catalogue.field_values("sound", ["t:a", "t:b", "t:c"])
    assert catalogue.field_values("sound", ["t:a", "t:b", "t:c"], source="spotify")[0].tolist() == [True, True, False]
    assert catalogue.field_values("sound", ["t:a", "t:b", "t:c"], source="spotify/two")[0].tolist() == [
        False,
        True,
        False,
    ]
    with pytest.raises(InputError, match="no values from source 'spot': use one of librosa, spotify"):
        catalogue.field_values("sound", ["t:a"], source="spot")


def test_fields_with_different_kinds_or_vector_lengths_raise(catalogue: Catalogue) -> None:
    catalogue.add(
        [
            TrackRecord("t:a", fields={"v": Field([1.0]), "k": Field("x")}),
            TrackRecord("t:b", fields={"v": Field([1.0, 2.0]), "k": Field([1.0])}),
        ]
    )

    with pytest.raises(InputError, match=r"vectors of one length \(1: 1, 2: 1\)"):
        catalogue.field_values("v", ["t:a", "t:b"])
    with pytest.raises(InputError, match=r"field 'k' must have values of one kind \(text: 1, vector: 1\)"):
        catalogue.field_values("k", ["t:a", "t:b"])
    with pytest.raises(InputError, match="field 'v' contains vectors, but a template requires text or numbers"):
        catalogue.field_values("{v}", ["t:a"])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (TrackRecord("t:x", fields={"v": Field([1.0, float("nan")])}), "track 't:x': field 'v' must be finite"),
        (TrackRecord("t:x", fields={"v": Field([float("-inf")])}), "track 't:x': field 'v' must be finite"),
        (TrackRecord("t:x", fields={"v": Field([])}), "track 't:x': field 'v' must be a non-empty vector"),
        (
            TrackRecord("t:x", fields={"bio": Field("b", entity="artist")}),
            "field 'bio' requires artist of the track: set artist",
        ),
        (TrackRecord("t:x", fields={"bio": Field("b", entity="label")}), "field 'bio' requires label of the track"),
    ],
)
def test_bad_value_rolls_back_the_whole_batch(record: TrackRecord, message: str, catalogue: Catalogue) -> None:
    with pytest.raises(DataError, match=message):
        catalogue.add([RAIN, record])
    assert catalogue.counts()["tracks"] == 0


def test_later_record_adds_values_and_keeps_old_values(catalogue: Catalogue) -> None:
    catalogue.add([RAIN])
    catalogue.add(
        [TrackRecord("t:rain", artists=("Cy",), fields={"lyrics": Field("drip", "lrclib"), "blank": Field(" ")})]
    )

    assert values(catalogue, "title", ["t:rain"]) == ["Rain"]
    assert values(catalogue, "artist", ["t:rain"]) == ["Cy"]
    assert values(catalogue, "duration", ["t:rain"]) == [201.5]
    assert catalogue.counts() == {
        "tracks": 1,
        "artists": 3,
        "albums": 1,
        "playlists": 0,
        "fields": {"genres": 1, "lyrics": 1},
    }


def test_records_in_one_batch_merge_like_separate_batches(catalogue: Catalogue, tmp_path: Path) -> None:
    records = [RAIN, TrackRecord("t:rain", "Rain (live)", artists=("Cy",)), TrackRecord("t:rain", album="Second")]
    with Catalogue.open(tmp_path / "other.db") as other:
        catalogue.add(records)
        for record in records:
            other.add([record])

        for name in ("title", "artist", "album", "duration", "genres"):
            assert values(catalogue, name, ["t:rain"]) == values(other, name, ["t:rain"])
    assert values(catalogue, "{title}|{artist}|{album}", ["t:rain"]) == ["Rain (live)|Cy|Second"]


def test_artist_names_with_different_spelling_are_one_artist(catalogue: Catalogue) -> None:
    catalogue.add(
        [
            TrackRecord("t:1", artists=("Björk",)),
            TrackRecord("t:2", artists=("  BJÖRK ",)),
            TrackRecord("t:3", artists=("Bjork",)),
        ]
    )

    assert values(catalogue, "artist_id", ["t:1", "t:2", "t:3"]) == ["name:bjork"] * 3


def test_artist_ids_without_names_are_stored(catalogue: Catalogue) -> None:
    catalogue.add([TrackRecord("t:1", artist_ids=("local:artist:449",), album_id="local:album:6306")])

    assert values(catalogue, "artist_id", ["t:1"]) == ["local:artist:449"]
    assert values(catalogue, "album_id", ["t:1"]) == ["local:album:6306"]
    assert values(catalogue, "artist", ["t:1"]) == [None]


def test_covers_are_stored_as_blobs_and_read_as_bytes(catalogue: Catalogue, tmp_path: Path) -> None:
    (tmp_path / "x.ogg").write_bytes(b"OggS")
    catalogue.add([TrackRecord("t:1", fields={"cover": Field(b"png"), "audio": Field(tmp_path / "x.ogg")}), BARE])

    present, covers = catalogue.field_values("cover", ["t:bare", "t:1"])

    assert present.tolist() == [False, True]
    assert list(covers) == [b"png"]
    assert list(catalogue.field_values("audio", ["t:1"])[1]) == [b"OggS"]
    assert catalogue.blobs.root == tmp_path / "deep" / "catalogue.blobs"


def test_provenance_counts_sources_of_fields_and_templates(catalogue: Catalogue) -> None:
    catalogue.add(
        [RAIN, SUN, BARE, TrackRecord("t:4", fields={"genres": Field("pop", "spotify", train_allowed=False)})]
    )

    genres = [
        {"field": "genres", "source": "mb", "train_allowed": None, "n": 1},
        {"field": "genres", "source": "spotify", "train_allowed": False, "n": 1},
    ]
    titles = [
        {"field": "title", "source": "", "train_allowed": None, "n": 1},
        {"field": "title", "source": "mpd", "train_allowed": False, "n": 1},
    ]
    assert catalogue.provenance("genres") == genres
    assert catalogue.provenance("genres", ["t:rain", "t:sun"]) == genres[:1]
    assert catalogue.provenance("{title}: {genres}") == titles + genres


def test_unknown_field_raises_with_the_nearest_name(catalogue: Catalogue) -> None:
    catalogue.add([RAIN])

    with pytest.raises(InputError, match="no field 'genre': did you mean 'genres'"):
        catalogue.field_values("genre", ["t:rain"])
    with pytest.raises(
        InputError, match="no field 'xyz': known: album, album_id, artist, artist_id, duration, genres, id, title"
    ):
        catalogue.provenance("{title} {xyz}")


def test_adding_playlists_reports_progress_and_counts(catalogue: Catalogue) -> None:
    seen: list[int] = []
    records = [PlaylistRecord(f"p{i}", ["t:rain"], "A", "b", "g", "train") for i in range(5001)]

    assert catalogue.add(records, seen.append) == 5001
    assert seen == [5000, 5001]
    assert catalogue.counts()["playlists"] == 5001


def test_committed_batches_survive_a_kill(tmp_path: Path) -> None:
    code = """
    import os, sys
    from toolkit.catalogue.records import TrackRecord
    from toolkit.catalogue.store import Catalogue
    def records():
        for i in range(12_000):
            if i == 11_000:
                os.kill(os.getpid(), 9)
            yield TrackRecord(f"t:{i}", f"T{i}")
    Catalogue.open(sys.argv[1]).add(records())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "c.db")], check=False)

    assert done.returncode == -9
    with Catalogue.open(tmp_path / "c.db") as catalogue:
        assert catalogue.counts()["tracks"] == 10_000


def test_sqlite_is_in_wal_mode(tmp_path: Path) -> None:
    Catalogue.open(tmp_path / "c.db").close()

    assert sqlite3.connect(tmp_path / "c.db").execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_url_or_file_that_is_not_a_database_raises(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("milk, bread and whatever else a shopping list holds " * 4)

    with pytest.raises(DataError, match=r"catalogue sqlite:///.*notes\.db: file is not a database"):
        Catalogue.open(tmp_path / "notes.db")
    with pytest.raises(InputError, match="database 'mysql' must be one of sqlite, postgresql"):
        Catalogue.open("mysql+pymysql://me:secret@host/db")
    with pytest.raises(InputError, match="the catalogue URL is invalid"):
        Catalogue.open("sqlite+nonsense://x")


def test_truncated_catalogue_raises_with_a_cure(tmp_path: Path) -> None:
    with Catalogue.open(tmp_path / "c.db") as catalogue:
        catalogue.add(TrackRecord(f"t:{number}", "a title " * 20) for number in range(2000))
    whole = (tmp_path / "c.db").read_bytes()
    (tmp_path / "c.db").write_bytes(whole[: len(whole) // 2])
    with (
        Catalogue.open(tmp_path / "c.db", create=False) as catalogue,
        pytest.raises(DataError, match="malformed.*: restore a copy"),
    ):
        catalogue.counts()


def test_locked_database_error_is_one_line(catalogue: Catalogue) -> None:
    catalogue.add([RAIN])
    path = catalogue.engine.url.database
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("DROP TABLE fields")

    with pytest.raises(SegueError, match=r"^catalogue sqlite:///.*: no such table: fields$"):
        catalogue.counts()


def test_in_memory_catalogue_has_no_folder_for_blobs() -> None:
    with Catalogue.open("sqlite://") as catalogue:
        catalogue.add([RAIN])
        assert values(catalogue, "title", ["t:rain"]) == ["Rain"]
        with pytest.raises(InputError, match=r"open the catalogue with blobs=<folder>"):
            catalogue.add([TrackRecord("t:1", fields={"cover": Field(b"png")})])
