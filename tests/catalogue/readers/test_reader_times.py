"""Tests of reading times from every format and of keeping them in the corpus."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from toolkit import plugins
from toolkit.catalogue.playlist_summary import summarise
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.records import NamedPlaylist, PlaylistRecord, Record
from toolkit.corpus.arrays import TIMES, Corpus
from toolkit.corpus.build import build
from toolkit.corpus.corpus_reader import CorpusReader
from toolkit.errors import DataError, InputError
from toolkit.recipe import Filters
from toolkit.timestamps import NO_TIME

LOG = "user,item,when\nb,x,1970-01-02\na,z,300\na,x,100\nb,y,1970-01-01T12:00Z\na,y,200.7\na,x,400\n"
DAY = 86_400


def reader_of(name: str, path: Path, on_error: str = "stop", **options: object) -> Reader:
    kind = plugins.load("segue.readers", name)
    return kind(path, kind.Params.model_validate(options), on_error=on_error)


def log(folder: Path, text: str = LOG, **options: object) -> Reader:
    (folder / "log.csv").write_text(text)
    return reader_of("csv", folder / "log.csv", **{"playlist": "user", "track": "item", "time": "when", **options})


def lists(records: list[Record] | list[Record | NamedPlaylist]) -> dict[str, PlaylistRecord]:
    return {record.id: record for record in records if isinstance(record, PlaylistRecord)}


def test_log_rows_are_sorted_by_time(tmp_path: Path) -> None:
    found = lists(list(log(tmp_path).read()))
    assert list(found) == ["b", "a"]
    assert found["a"].tracks == ["local:x", "local:y", "local:z", "local:x"] and found["a"].times == [
        100,
        200,
        300,
        400,
    ]
    assert found["b"].tracks == ["local:y", "local:x"] and found["b"].times == [DAY // 2, DAY]


def test_position_takes_precedence_over_time(tmp_path: Path) -> None:
    text = "user,item,when,pos\na,x,300,0\na,y,100,2\na,z,200,1\nb,x,5,0\n"
    for options in ({}, {"sorted": True}):
        found = lists(list(log(tmp_path, text, **options).read()))
        assert (
            found["a"].tracks == ["local:x", "local:z", "local:y"]
            and found["a"].times == [300, 200, 100]
            and found["b"].times == [5]
        )


def test_invalid_time_is_a_bad_record(tmp_path: Path) -> None:
    text = LOG.replace("200.7", "noon")
    with pytest.raises(
        DataError, match=r"log\.csv, line 6: time 'noon' must be ISO 8601, such as 2020-07-01 .*, or seconds since 1970"
    ):
        list(log(tmp_path, text).read())
    skipping = log(tmp_path, text, on_error="skip")
    assert lists(list(skipping.read()))["a"].times == [100, 300, 400] and skipping.skipped.count == 1
    with pytest.raises(InputError, match=r"has no column 'wen' \(option time\): did you mean 'when'"):
        list(log(tmp_path, time="wen").read())


def test_times_stay_aligned_after_filters_and_repeats(tmp_path: Path) -> None:
    whole = build(log(tmp_path), None, tmp_path / "whole", filters=Filters(repeats="keep"))
    assert whole.times is not None and whole.times.dtype == np.int64 and isinstance(whole.times, np.memmap)
    assert whole.times.tolist() == [DAY // 2, DAY, 100, 200, 300, 400] and whole.has_times
    assert whole.placement_times(1, 2).tolist() == [100, 200, 300, 400]
    once = build(log(tmp_path), None, tmp_path / "once")
    assert once.times is not None and once.times.tolist() == [DAY // 2, DAY, 100, 200, 300]
    rare = build(log(tmp_path), None, tmp_path / "rare", filters=Filters(min_track_plays=2))
    assert rare.times is not None and rare.times.tolist() == [DAY // 2, DAY, 100, 200]
    again = build(CorpusReader(tmp_path / "once"), None, tmp_path / "again")
    assert again.times is not None and again.times.tolist() == once.times.tolist()


def test_corpus_without_times_has_no_times_file(tmp_path: Path) -> None:
    made = build(log(tmp_path, time=None), None, tmp_path / "corpus")
    assert made.times is None and made.playlist_times is None and not made.has_times
    assert not (tmp_path / "corpus" / TIMES).exists() and made.playlists.column_names == [
        "id",
        "title",
        "group",
        "split",
    ]


def test_times_with_a_wrong_length_raise(tmp_path: Path) -> None:
    build(log(tmp_path), None, tmp_path / "corpus")
    np.save(tmp_path / "corpus" / TIMES, np.zeros(3, np.int64))
    with pytest.raises(DataError, match="corpus has 3 times and must have 5: delete the folder"):
        Corpus.load(tmp_path / "corpus")


def test_recbole_times_require_the_option_time(tmp_path: Path) -> None:
    (tmp_path / "log.inter").write_text("user_id:token\titem_id:token\ttimestamp:float\n1\ta\t20\n1\tb\t10\n2\tb\t5\n")
    assert [each.times for each in lists(list(reader_of("recbole", tmp_path).read())).values()] == [None, None]
    found = lists(list(reader_of("recbole", tmp_path, time="timestamp").read()))
    assert found["1"].tracks == ["local:b", "local:a"] and found["1"].times == [10, 20] and found["2"].times == [5]


def test_jspf_times_are_when_tracks_were_added(tmp_path: Path) -> None:
    def track(name: str, added: object) -> dict[str, object]:
        return {"title": name, "extension": {"https://musicbrainz.org/doc/jspf#track": added}}

    told = [
        track("A", {"added_at": "2023-01-02T03:04:05.123456+00:00", "added_by": "ann"}),
        track("B", [{"added_at": "2023-01-01"}]),
        track("C", {}),
    ]
    (tmp_path / "a.jspf").write_text(json.dumps({"playlist": {"track": told}}))
    (tmp_path / "b.jspf").write_text(
        json.dumps({"playlist": {"track": [{"title": "A", "extension": []}, {"title": "B"}]}})
    )
    first, second = lists(list(reader_of("jspf", tmp_path).read())).values()
    assert first.times == [1672628645, 1672531200, NO_TIME] and second.times is None
    made = build(reader_of("jspf", tmp_path), None, tmp_path / "corpus")
    assert made.times is not None and made.times.tolist() == [1672628645, 1672531200, NO_TIME, NO_TIME, NO_TIME]
    (tmp_path / "a.jspf").write_text(json.dumps({"playlist": {"track": [track("A", {"added_at": "soon"})]}}))
    with pytest.raises(DataError, match=r"a\.jspf, track 0: added_at 'soon' must be ISO 8601"):
        list(reader_of("jspf", tmp_path).read())


def test_jspf_and_xspf_playlists_have_the_date_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.jspf").write_text(
        json.dumps({"playlist": {"date": "2023-01-01T00:00:00Z", "track": [{"title": "A"}, {"title": "B"}]}})
    )
    tracks = "<trackList><track><title>A</title></track></trackList>"
    xspf = '<playlist xmlns="http://xspf.org/ns/0/"><date>{}</date>' + tracks + "</playlist>"
    (tmp_path / "b.xspf").write_text(xspf.format("2005-01-08T17:10:47-05:00"))
    read = [lists(list(reader_of(name, tmp_path).read())) for name in ("jspf", "xspf")]
    assert [playlist.time for playlists in read for playlist in playlists.values()] == [
        1672531200, 1105222247,
    ]  # fmt: skip
    made = build(reader_of("jspf", tmp_path), None, tmp_path / "corpus")
    assert made.placement_times(0, 1).tolist() == [1672531200] * 2
    (tmp_path / "b.xspf").write_text(xspf.format("last winter"))
    with pytest.raises(DataError, match=r"b\.xspf.* date 'last winter' must be ISO 8601"):
        list(reader_of("xspf", tmp_path).read())


def test_playlist_time_is_stored_once_per_playlist(files: Path, tmp_path: Path) -> None:
    made = build(reader_of("mpd", files / "mpd"), None, tmp_path / "mpd")
    assert (
        made.times is None
        and made.playlist_times is not None
        and made.playlist_times.tolist() == [1493424000] * 4
        and not (tmp_path / "mpd" / TIMES).exists()
    )
    assert made.placement_times(1, 3).tolist() == [1493424000] * 4
    again = build(CorpusReader(tmp_path / "mpd"), None, tmp_path / "again")
    assert again.playlists.equals(made.playlists)
    slice_ = json.loads((files / "mpd" / "mpd.slice.0-1.json").read_text())
    slice_["playlists"][0]["modified_at"] = 10**12
    (tmp_path / "mpd.slice.0-1.json").write_text(json.dumps(slice_))
    with pytest.raises(DataError, match="playlist 0: Expected `int` <= 253402300799 - at `.*modified_at`"):
        list(reader_of("mpd", tmp_path / "mpd.slice.0-1.json").read())


def test_jsonl_option_sets_the_key_of_playlist_times(tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    lines = ['{"id": 1, "tracks": ["a", "b"], "date": "2020-07-01"}', '{"id": 2, "tracks": ["a", "c"], "date": 86400}']
    path.write_text("\n".join([*lines, '{"id": 3, "tracks": ["c"]}']))
    found = lists(list(reader_of("jsonl", path, time="date").read()))
    assert [each.time for each in found.values()] == [1593561600, 86400, NO_TIME]
    made = build(
        reader_of("jsonl", path, time="date"), None, tmp_path / "corpus", filters=Filters(min_playlist_length=1)
    )
    assert made.playlist_times is not None and made.playlist_times.tolist() == [1593561600, 86400, NO_TIME]
    with pytest.raises(InputError, match="has no key 'when' in any line"):
        list(reader_of("jsonl", path, time="when").read())
    path.write_text('{"id": 1, "tracks": ["a", "b"], "date": "soon"}\n')
    with pytest.raises(DataError, match="line 1: 'date'='soon' must be ISO 8601"):
        list(reader_of("jsonl", path, time="date").read())


def test_summary_has_first_and_last_time(files: Path, tmp_path: Path) -> None:
    assert summarise(log(tmp_path)).facts()["times"] == {
        "first": "1970-01-01T00:01:40Z",
        "last": "1970-01-02",
        "playlists": 2,
    }
    assert summarise(reader_of("archive", files / "archive")).facts()["times"] == {
        "first": "2019-05-25",
        "last": "2019-06-25",
        "playlists": 3,
    }
    assert summarise(log(tmp_path, time=None)).facts()["times"] is None


class Untidy(Reader):
    """Reader of playlists with and without times, in several batches."""

    name = "untidy"

    def read(self):  # type: ignore[no-untyped-def]
        for number in range(3000):
            told = [number, number + 1, number + 2] if number % 3 == 1 and number > 2000 else None
            yield PlaylistRecord(f"p{number}", [f"t:{number}", f"t:{number + 1}", f"t:{number}"], times=told)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        return False


def test_playlists_without_times_get_unknown_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.corpus.record_indexer.BATCH", 1000)
    made = build(Untidy(Path("untidy")), None, tmp_path / "corpus")
    assert made.times is not None and made.times.shape == (6000,)
    expected = [[n, n + 1] if n % 3 == 1 and n > 2000 else [NO_TIME] * 2 for n in range(3000)]
    assert made.times.reshape(3000, 2).tolist() == expected


def test_playlist_with_a_wrong_number_of_times_is_a_bad_record(tmp_path: Path) -> None:
    class Wrong(Untidy):
        def read(self):  # type: ignore[no-untyped-def]
            yield PlaylistRecord("p", ["t:1", "t:2"], times=[1])

    with pytest.raises(DataError, match="playlist 'p': has 1 times and must have 2"):
        build(Wrong(Path("wrong")), None, tmp_path / "corpus")
