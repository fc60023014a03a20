"""Tests that a label of the playlist is not used as content of its tracks."""

from __future__ import annotations

import gzip
import json
import math
import random
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.stats import binom

import segue
from toolkit.catalogue.readers.csv import CsvParams, CsvReader
from toolkit.catalogue.readers.reader import Reader
from toolkit.catalogue.readers.tables import label_counts
from toolkit.catalogue.readers.tables.arrow_tables import ArrowParams, ArrowReader
from toolkit.catalogue.readers.tables.dataframes import table_of
from toolkit.catalogue.readers.tables.label_counts import LabelCounter, LabelCounts
from toolkit.catalogue.readers.tables.value_hashes import playlist_hashes, value_hashes
from toolkit.errors import LeakError
from toolkit.ingest.label_leaks import is_constant, is_leak
from toolkit.ingest.read_data import ingest, open_reader
from toolkit.progress import Reporter
from toolkit.recipe import Data

Label = Callable[[int, int, random.Random], object]
"""Returns the value of a column from the numbers of playlist and track."""

MOODS = ("calm", "party", "focus", "sad", "workout", "sleep")


def rows_of(label: Label, playlists: int = 80, length: int = 15, common: int = 40, seed: int = 0) -> pd.DataFrame:
    """Return playlists with tracks of their own and a few of `common` tracks that many playlists have."""
    draw = random.Random(seed)
    rows = []
    for each in range(playlists):
        shared = min(length // 3, common)
        tracks = [*range(1000 * (each + 1), 1000 * (each + 1) + length - shared), *draw.sample(range(common), shared)]
        draw.shuffle(tracks)
        rows += [(f"p{each}", f"t{track}", label(each, track, draw)) for track in tracks]
    return pd.DataFrame(rows, columns=["playlist_id", "track_id", "mood"])


def counts_of(frame: pd.DataFrame, folder: Path, **options: object) -> LabelCounts:
    path = folder / "lists.csv"
    frame.to_csv(path, index=False)
    reader = CsvReader(path, CsvParams.model_validate({"fields": {"genre": "mood"}, **options}))
    for _ in reader.read():
        pass
    (counts,) = reader.labels
    return counts


def mood(playlist: int, _: int, __: random.Random) -> object:
    return MOODS[playlist % len(MOODS)]


LABELS: dict[str, Label] = {
    "a mood": mood,
    "one value per playlist": lambda playlist, _, __: f"owner {playlist}",
    "a number": lambda playlist, _, __: playlist % 6,
    "a list": lambda playlist, _, __: json.dumps([playlist % 6, 1]),
    "wrong in 8 % of playlists": lambda playlist, track, draw: (
        draw.choice(MOODS) if playlist % 12 == 0 else mood(playlist, track, draw)
    ),
    "missing in half of the rows": lambda playlist, track, draw: (
        None if draw.random() < 0.5 else mood(playlist, track, draw)
    ),
    "missing in half of the playlists": lambda playlist, track, draw: (
        None if playlist % 2 else mood(playlist // 2, track, draw)
    ),
    "the same in 9 of 10 playlists": lambda playlist, _, __: "party" if playlist % 10 == 0 else "none",
    "two values": lambda playlist, _, __: playlist % 2,
    "in other case": lambda playlist, _, draw: draw.choice(["{}", " {} "]).format(
        draw.choice([str.upper, str.title, str])(f"a  mood {playlist % 6}")
    ),
    "wrong in a row of every playlist": lambda playlist, track, draw: (
        "typo" if track % 15 == 2 else mood(playlist, track, draw)
    ),
    "wrong in 8 % of the rows": lambda playlist, track, draw: (
        draw.choice(MOODS) if draw.random() < 0.08 else mood(playlist, track, draw)
    ),
}

COLUMNS: dict[str, Label] = {
    "a genre": lambda _, track, __: MOODS[track * 7919 % len(MOODS)],
    "one value per track": lambda _, track, __: f"lyrics of {track}",
    "the same value everywhere": lambda *_: "en",
    "the same value nearly everywhere": lambda _, track, __: "fr" if track % 500 == 3 else "en",
    "a number": lambda _, track, __: track / 7,
    "a different value in each row": lambda _, __, draw: draw.random(),
    "a language that a playlist has alone": lambda playlist, track, _: "en" if track < 1000 else f"l{playlist}",
    "a genre with errors in 2 % of rows": lambda _, track, draw: (
        "typo" if draw.random() < 0.02 else MOODS[track * 7919 % len(MOODS)]
    ),
    "one language with errors in few rows": lambda _, __, draw: "typo" if draw.random() < 0.003 else "en",
    "no value": lambda *_: None,
}


@pytest.mark.parametrize("name", LABELS)
def test_label_of_the_playlist_is_a_leak(name: str, tmp_path: Path) -> None:
    counts = counts_of(rows_of(LABELS[name]), tmp_path)

    assert is_leak(counts), counts
    assert counts.constant >= 0.9 * counts.playlists and counts.following > 0


@pytest.mark.parametrize("name", COLUMNS)
def test_column_of_the_track_is_not_a_leak(name: str, tmp_path: Path) -> None:
    frame, path = rows_of(COLUMNS[name]), tmp_path / "lists.csv"
    frame.to_csv(path, index=False)
    reader = CsvReader(path, CsvParams(fields={"genre": "mood"}))
    for _ in reader.read():
        pass

    assert not [counts for counts in reader.labels if is_constant(counts)]


def test_language_of_playlists_without_common_tracks_is_doubtful_but_not_a_leak(tmp_path: Path) -> None:
    counts = counts_of(rows_of(lambda playlist, _, __: MOODS[playlist % 3], common=0), tmp_path)

    assert is_constant(counts) and not is_leak(counts) and counts.tracks == 0


def test_errors_of_a_constant_language_in_single_rows_are_not_a_leak(tmp_path: Path) -> None:
    frame = rows_of(
        lambda playlist, _, draw: "typo" if draw.random() < 0.005 else f"language {playlist // 40}", common=0
    )
    often = frame.index % 15 <= 5  # tracks that many playlists of one language have
    frame["track_id"] = frame.track_id.where(~often, [f"s{row // 600}-{row % 7}" for row in frame.index])

    counts = counts_of(frame, tmp_path)

    assert is_constant(counts) and counts.varying >= 0.01 * counts.tracks > 0 and counts.following == 0
    assert not is_leak(counts)


@pytest.mark.parametrize(("playlists", "length", "leak"), [(3, 2, False), (3, 20, True), (1, 50, False)])
def test_tiny_data_needs_more_playlists_than_chance_explains(
    playlists: int, length: int, leak: bool, tmp_path: Path
) -> None:
    frame = rows_of(LABELS["one value per playlist"], playlists=playlists, length=length, common=6)

    assert is_leak(counts_of(frame, tmp_path)) is leak


def test_artist_and_album_columns_are_exempt_and_options_are_named_by_column(tmp_path: Path) -> None:
    frame = rows_of(mood).assign(band=lambda frame: frame.mood, disc=lambda frame: frame.mood)
    path = tmp_path / "lists.csv"
    frame.to_csv(path, index=False)
    options = {
        "artist": "band",
        "album": "disc",
        "title": "mood",
        "fields": {"by": "band", "genre": "mood", "g": "mood"},
    }
    reader = CsvReader(path, CsvParams.model_validate(options))
    list(reader.read())

    (counts,) = reader.labels
    assert counts.options == ("title", "fields.genre", "fields.g")


def slow_counts(rows: list[tuple[str, str, str | None]]) -> tuple[int, int, int, int, int, float]:
    """Return the counts of `LabelCounts` with plain dictionaries."""
    lists: dict[str, dict[str, set[str]]] = {}
    for playlist, track, value in rows:
        if value is not None:
            lists.setdefault(playlist, {}).setdefault(track, set()).add(value)
    counted = {name: held for name, held in lists.items() if len(held) > 1}
    constant: dict[float, dict[str, str]] = {0.8: {}, 1.0: {}}
    for share, of_share in constant.items():
        for name, held in counted.items():
            own = [next(iter(values)) for values in held.values()]
            value = max(set(own), key=own.count)
            if own.count(value) >= share * len(own) - 1e-9:
                of_share[name] = value
    share = 0.8 if len(constant[1.0]) < 0.9 * len(counted) <= len(constant[0.8]) else 1.0
    most = constant[share]
    values = [next(iter(own)) for held in counted.values() for own in held.values()]
    shares = [values.count(value) / len(values) for value in set(values)]
    chance = 0.0
    for held in counted.values():
        enough = math.ceil(share * len(held) - 1e-9)
        chance += min(1.0, sum(binom.sf(enough - 1, len(held), each) for each in shares))
    owners: dict[str, list[str]] = {}
    for name, held in lists.items():
        for track in held:
            owners.setdefault(track, []).append(name)

    def several(track: str, among: list[str]) -> bool:
        return len(set().union(*(lists[name][track] for name in among))) > 1

    shared = {track: names for track, names in owners.items() if len(names) > 1}
    varying = sum(several(track, names) for track, names in shared.items())
    following = sum(
        len({most[name] for name in names if name in most and most[name] in lists[name][track]}) > 1
        for track, names in owners.items()
    )
    return len(shared), varying, following, len(counted), len(most), chance


@pytest.mark.parametrize("seed", range(30))
def test_counts_equal_those_of_plain_dictionaries(seed: int) -> None:
    draw = random.Random(seed)
    kinds, label = draw.choice([1, 2, 5]), draw.random() < 0.5
    of = {(f"p{p}", f"t{t}"): f"v{draw.randrange(kinds)}" for p in range(9) for t in range(12)}
    own = {f"p{p}": f"v{draw.randrange(kinds)}" for p in range(9)}
    rows: list[tuple[str, str, str | None]] = []
    for _ in range(draw.choice([3, 40, 120])):
        key = (f"p{draw.randrange(9)}", f"t{draw.randrange(12)}")
        rows.append((*key, None if draw.random() < 0.2 else own[key[0]] if label and draw.random() < 0.95 else of[key]))
        rows[-1] = next((row for row in rows if row[:2] == key and row[2] and rows[-1][2]), rows[-1])
    counter = LabelCounter({"mood": ["fields.mood"]})
    for playlist, track, value in rows:
        counter.add_row(playlist, track, [value])

    found = counter.counts()
    expected = slow_counts(rows)
    assert [(each.tracks, each.varying, each.following, each.playlists, each.constant) for each in found] == (
        [expected[:5]] if any(row[2] for row in rows) else []
    )
    assert [each.chance for each in found] == pytest.approx([expected[5]] * len(found))


def test_long_tables_are_sampled_by_playlist_alike_in_any_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = rows_of(mood, playlists=400)
    monkeypatch.setattr(label_counts, "KEPT", 2000)
    found = []
    for buffered in (7, 500):
        monkeypatch.setattr(label_counts, "BUFFERED", buffered)
        counter = LabelCounter({"mood": ["fields.mood"]})
        for row in frame.itertuples(index=False):
            counter.add_row(row[0], row[1], [row[2]])
        assert counter._rows <= 2 * 2000 + 500
        found += counter.counts()

    assert found[0] == found[1] and found[0].sampled and is_leak(found[0])
    assert 50 < found[0].playlists < 2000 / 15


def test_value_hashes_are_equal_for_equal_values_and_zero_for_missing_ones() -> None:
    texts = pa.array(["a", " a ", "", None, "b", "a"])
    vectors = [[1.0, 2.0], [2.0, 1.0], None, [], [1.0, 2.0]]
    for array in (texts, texts.dictionary_encode(), texts.cast(pa.large_string())):
        hashes = value_hashes(array)
        assert hashes[0] == hashes[1] == hashes[5] != hashes[4] and hashes[2] == hashes[3] == 0
    for array in (pa.array([1.5, 2.5, float("nan"), None, 1.5]), pa.array([1, 2, None, None, 1]), pa.array(vectors)):
        hashes = value_hashes(array)
        assert hashes[0] == hashes[4] != hashes[1] and hashes[2] == hashes[3] == 0 and (hashes[:2] > 0).all()
    fixed = value_hashes(pa.array([[1, 2], None, [1, 2]], pa.list_(pa.int64(), 2)))
    assert fixed[0] == fixed[2] > 0 == fixed[1]
    files = pa.array([{"bytes": None, "path": "a"}, {"bytes": b"x", "path": "a"}, {"bytes": b"x", "path": None}])
    assert len({*value_hashes(files).tolist()}) == 2


@pytest.mark.parametrize("shape", ["rows", "lists", "csv", "tsv", "jsonl", "parquet", "parquet with dictionaries"])
def test_every_format_counts_alike(shape: str, tmp_path: Path) -> None:
    frame = rows_of(LABELS["missing in half of the rows"])
    expected = counts_of(frame, tmp_path)
    lists = frame.groupby("playlist_id", sort=False).agg(list).reset_index()
    keys = {"playlist": "playlist_id", "fields": {"genre": "mood"}}
    reader: Reader
    if shape in ("rows", "lists"):
        reader = ArrowReader(table_of(frame if shape == "rows" else lists), None, ArrowParams.model_validate(keys))
    else:
        name, ending = f"reader of {shape}", shape.split()[0]
        path = tmp_path / f"{name}.{ending}"
        if ending in ("csv", "tsv"):
            frame.to_csv(path, index=False, sep="," if ending == "csv" else "\t")
        elif ending == "parquet":
            (frame.astype({"mood": "category"}) if "dictionaries" in shape else frame).to_parquet(path)
        else:
            keys = {"track": "track_id", "fields": {"genre": "mood"}}
            path.write_text(
                "".join(
                    json.dumps(
                        {"id": name, "tracks": json.loads(group[["track_id", "mood"]].to_json(orient="records"))}
                    )
                    + "\n"
                    for name, group in frame.groupby("playlist_id", sort=False)
                )
            )
        reader = open_reader(Data(path=path, options=keys))
    list(reader.read())

    assert [each for each in reader.labels if each.column == "mood"] == [expected]


def test_leak_is_an_error_that_names_column_field_counts_and_cure(tmp_path: Path) -> None:
    path = tmp_path / "lists.csv"
    rows_of(mood).to_csv(path, index=False)
    data = Data(path=path, options={"fields": {"genre": "mood"}})

    with pytest.raises(LeakError) as error:
        ingest(data, tmp_path / "cache", reporter=Reporter())

    assert str(error.value) == (
        "column 'mood' (`fields.genre`) is constant in 80 of 80 playlists (0.0 expected by chance), and varies for 40"
        " of the 40 tracks that are in several playlists: it labels the playlist, and would reveal the playlist of a"
        " hidden track. Declare it under `playlist_fields`, or set `data.allow_label_leak` to the reason why it is"
        " allowed"
    )
    assert error.value.exit_code == 2


def test_leak_is_found_again_in_the_cache_and_when_the_catalogue_is_filled_later(tmp_path: Path) -> None:
    path, cache = tmp_path / "lists.parquet", tmp_path / "cache"
    rows_of(mood).to_parquet(path)
    data = Data(path=path, options={"fields": {"genre": "mood"}})
    bare = ingest(data, cache, reporter=Reporter(), described=False)  # nobody reads content: nothing can leak
    for _ in range(2):
        with pytest.raises(LeakError, match="'mood'"):
            ingest(data, cache, reporter=Reporter())
    allowed = ingest(
        data.model_copy(update={"allow_label_leak": "to measure it"}), cache, reporter=Reporter(), described=True
    )

    assert allowed.key == bare.key and len([*(cache / "corpora").glob("*/corpus")]) == 1
    assert [note.endswith("allowed by `allow_label_leak`: to measure it") for note in allowed.label_notes] == [True]
    (cache / "corpora" / bare.key / "catalogue" / "labels.json").write_text("[")
    with pytest.raises(LeakError, match="'mood'"):
        ingest(data, cache, reporter=Reporter())


def recall(data: segue.Playlists) -> float:
    split = data.split(folds=4, min_tracks=5)
    result = segue.evaluate(segue.ContentMix().fit(split.train, split.valid), split.test, metrics=["recall@50"])
    table = result.to_frame()
    return float(table[table.slice == "all"].value.iloc[0])


def test_label_as_a_genre_lifts_recall_and_stops_until_it_is_a_playlist_field(tmp_path: Path) -> None:
    frame = rows_of(lambda playlist, _, __: f"owner {playlist}")
    with pytest.raises(LeakError, match="or set `allow_label_leak` to the reason why it is allowed$"):
        recall(segue.from_dataframe(frame, fields={"genre": "mood"}, cache=tmp_path))
    with pytest.warns(UserWarning, match="'mood'.*allowed by `allow_label_leak`: to measure it"):
        leaking = recall(
            segue.from_dataframe(frame, fields={"genre": "mood"}, cache=tmp_path, allow_label_leak="to measure it")
        )
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        honest = segue.from_dataframe(frame, playlist_fields={"mood": "mood"}, cache=tmp_path)
        value = recall(honest)

    assert leaking > value + 0.3  # tracks that are in the hidden playlist alone are found by its label
    assert honest.corpus.playlists["field:mood"].to_pylist() == [f"owner {each}" for each in range(80)]


def test_constant_column_without_varying_tracks_is_a_warning(tmp_path: Path) -> None:
    frame = rows_of(lambda playlist, _, __: MOODS[playlist % 3], common=0)
    data = segue.from_dataframe(frame, fields={"genre": "mood"}, cache=tmp_path)

    with pytest.warns(UserWarning, match="'mood'.*if it labels the playlist, declare it under `playlist_fields`"):
        data.field("genre")


def spa_rows(folder: Path) -> pd.DataFrame:
    with gzip.open(folder / "playlists.jsonl.gz", "rt") as file:
        lists = [json.loads(line) for line in file]
    return pd.DataFrame(
        [(each["list_id"], track) for each in lists for track in each["tracks"]], columns=["playlist_id", "track_id"]
    )


def test_columns_of_spa_tracks_joined_to_placements_are_not_leaks(shared_data: Path, tmp_path: Path) -> None:
    tracks = pd.read_csv(shared_data / "playlists-spa" / "tracks.csv.gz").set_index("track_id")
    content = shared_data / "spa-content"
    tracks["lyrics"] = pd.Series(
        np.load(content / "lyrics_minilm.npy", mmap_mode="r")[:, 0], (content / "lyrics_ids.txt").read_text().split()
    )
    frame = spa_rows(shared_data / "playlists-spa").join(tracks, on="track_id")
    names = [name for name in tracks.columns if name not in ("title", "artists", "album")]
    counter = LabelCounter({name: [name] for name in ("title", *names)})
    table = pa.Table.from_pandas(frame, preserve_index=False).combine_chunks()
    columns = {name: table.column(name).chunk(0) for name in counter.columns}
    counter.add_batch(
        playlist_hashes(frame.playlist_id.astype(str).tolist()), table.column("track_id").chunk(0), columns
    )

    found = counter.counts()
    assert len(found) == len(names) + 1 and not [each.column for each in found if is_constant(each)]
    assert max(each.varying for each in found) == 0


def test_columns_of_mpd_tracks_joined_to_placements_are_not_leaks(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "playlists-mpd5k"
    tracks = pd.read_csv(folder / "tracks.csv.gz", dtype=str).set_index("track_id")
    frame = pd.read_csv(folder / "playlists.csv.gz", dtype=str).join(tracks, on="track_id")
    path = tmp_path / "lists.csv"
    frame.to_csv(path, index=False)
    params = CsvParams(fields={"c": "duration_sec"}, features={"d": ["duration_sec"]}, position="pos")
    reader = CsvReader(path, params)
    list(reader.read())

    assert [(each.options, is_constant(each), each.varying) for each in reader.labels] == [
        (("fields.c", "features.d"), False, 0)
    ]


@pytest.mark.parametrize("file", ["My Spotify Library.csv", "tidal.csv"])
def test_columns_of_an_exported_library_are_not_leaks(file: str, shared_data: Path) -> None:
    fields = {"isrc": "ISRC", "record": "Album", "band": "Artist name"}
    params = CsvParams(playlist="Playlist name", track="Track name", fields=fields)
    reader = CsvReader(shared_data / "exports" / "tunemymusic" / file, params, on_error="skip")
    list(reader.read())

    assert len(reader.labels) == 3 and not [each.column for each in reader.labels if is_constant(each)]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_read_for_playlists_alone_does_not_count(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"lists.{kind}"
    path.write_text(
        "playlist_id,track_id,title\n1,a,A\n1,b,B\n"
        if kind == "csv"
        else '{"id": "1", "tracks": [{"id": "a", "title": "A"}, {"id": "b", "title": "B"}]}\n'
    )
    reader = open_reader(Data(path=path))

    assert list(reader.brief()) == list(reader.read()) and len(reader.labels) == 1
    list(reader.brief())
    assert reader.labels == ()
