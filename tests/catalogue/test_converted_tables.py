"""Conversion to tables: a recipe that reads the tables has the same playlists and the same content."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from segue import read_playlists
from segue.datasets.demo.demo_params import DemoParams
from segue.datasets.demo.demo_reader import DemoReader
from tests.command import segue
from toolkit.catalogue.converted_tables import convert
from toolkit.catalogue.readers.mpd import MpdReader
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.build import build
from toolkit.errors import InputError
from toolkit.ingest.read_data import open_reader
from toolkit.recipe import Data, Filters
from toolkit.recipe.yaml_document import parse

READERS = Path(__file__).parents[1] / "fixtures" / "readers"
PLACES = ["mpd", "archive", "jspf/mix.jspf", "xspf", "csv/described.tsv", "jsonl/playlists.jsonl"]
FORMS = ["csv", "jsonl", "parquet"]
OPEN = Filters(min_playlist_length=1, repeats="keep")


def built(reader: Reader, folder: Path) -> tuple[Corpus, Catalogue]:
    folder.mkdir()
    catalogue = Catalogue.open(folder / "catalogue.db")
    return build(reader, catalogue, folder / "corpus", filters=OPEN), catalogue


def again(out: Path, form: str, reader: Reader) -> Reader:
    done = convert(reader, out, form)  # type: ignore[arg-type]
    return open_reader(Data(reader=done.reader, path=done.path, options=done.options))


@pytest.mark.parametrize("form", FORMS)
def test_tables_of_the_demo_have_the_same_playlists_names_and_content(form: str, tmp_path: Path) -> None:
    params = DemoParams(tracks=200, artists=20, playlists=40)
    before, old = built(DemoReader(params=params), tmp_path / "before")
    after, new = built(again(tmp_path / "out", form, DemoReader(params=params)), tmp_path / "after")

    assert after.same_playlists(before)
    for column in ("id", "title", "artist", "album"):
        assert after.tracks[column].to_pylist() == before.tracks[column].to_pylist()
    for column in ("id", "title", "group", "split"):
        assert after.playlists[column].to_pylist() == before.playlists[column].to_pylist()
    ids = before.tracks["id"].to_pylist()
    fields = [*old.counts()["fields"], "title", "artist", "artist_id", "album", "album_id", "duration"]
    assert len(fields) > 8
    for field in fields:
        here, there = old.field_values(field, ids), new.field_values(field, ids)
        assert here[0].tolist() == there[0].tolist(), field
        for left, right in zip(here[1], there[1], strict=True):
            assert np.array_equal(left, right) if isinstance(left, np.ndarray) else left == right, field


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "place", ["mpd", "archive", "jspf/mix.jspf", "xspf", "csv/described.tsv", "jsonl/playlists.jsonl"]
)
def test_tables_of_a_format_have_the_same_playlists(place: str, form: str, tmp_path: Path) -> None:
    source = open_reader(Data(path=READERS / place))
    before, _ = built(source, tmp_path / "before")
    after, _ = built(again(tmp_path / "out", form, source), tmp_path / "after")

    def lists(corpus: Corpus) -> list[list[str]]:
        ids = np.array(corpus.tracks["id"].to_pylist())
        return [ids[part - 1].tolist() for part in np.split(corpus.items, corpus.offsets[1:-1])]

    assert lists(after) == lists(before)
    assert after.playlists["title"].to_pylist() == before.playlists["title"].to_pylist()
    names = {row["id"]: row for row in before.tracks.to_pylist()}
    assert {row["id"]: row for row in after.tracks.to_pylist()} == names
    assert after.has_times is before.has_times


@pytest.mark.parametrize("form", FORMS)
def test_printed_section_is_read_back_with_the_strictest_terms(form: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = segue("data", "convert", READERS / "archive", out, "--to", form)
    assert result.exit_code == 0, result.output

    section = parse(result.output[result.output.index("data:\n") :], "printed", {})
    data = Data.model_validate(section["data"])  # type: ignore[index]

    assert data.options["train_allowed"] is False
    assert [record for record in open_reader(data).read()]
    read = read_playlists(data.path, reader=data.reader, cache=tmp_path / "cache", **data.options)
    assert len(read) == 3


def test_playlists_without_tracks_are_counted_and_kept_in_json_lines(tmp_path: Path) -> None:
    reader = MpdReader(READERS / "challenge")

    assert (convert(reader, tmp_path / "a", "csv").left_out, convert(reader, tmp_path / "b", "csv").playlists) == (1, 1)
    done = convert(reader, tmp_path / "c", "jsonl")
    assert (done.left_out, done.playlists) == (0, 2)


def test_separator_of_artists_is_one_that_no_artist_has(tmp_path: Path) -> None:
    (tmp_path / "lists.jsonl").write_text(
        '{"id": "1", "tracks": [{"id": "a", "artist": ["Ann; the Band", "Bo"]}, {"id": "b", "title": "B"}]}\n'
    )
    reader = again(tmp_path / "out", "csv", open_reader(Data(path=tmp_path / "lists.jsonl")))

    assert next(iter(reader.read())).artists == ("Ann; the Band", "Bo")


def test_play_counts_are_refused(tmp_path: Path) -> None:
    reader = open_reader(Data(path=READERS / "triplets" / "small_triplets.txt"))
    with pytest.raises(InputError, match="has play counts, which csv files of playlists cannot hold: use it as it is"):
        convert(reader, tmp_path / "out", "csv")


def test_memory_does_not_grow_with_the_playlists(tmp_path: Path) -> None:
    def peak(n: int) -> int:
        path = tmp_path / f"{n}.jsonl"
        track = '{{"id": "t{0}", "title": "Song {0}", "artist": "Ann"}}'
        lines = ((p, ",".join(track.format((7 * p + k) % 4000) for k in range(20))) for p in range(n))
        path.write_text("".join(f'{{"id": "p{p}", "tracks": [{tracks}]}}\n' for p, tracks in lines))
        reader = open_reader(Data(path=path))
        tracemalloc.start()
        try:
            convert(reader, tmp_path / f"out{n}", "csv")
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak(500), peak(2000)
    assert large < max(2 * small, 1 << 24)


def test_files_of_an_earlier_conversion_are_replaced_and_no_others_remain(tmp_path: Path) -> None:
    for _ in range(2):
        convert(MpdReader(READERS / "mpd"), tmp_path / "out", "parquet")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["playlists.parquet", "tracks.parquet"]
    assert not re.search("convert", " ".join(file.name for file in tmp_path.iterdir()))
