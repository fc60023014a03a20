"""Tests of columns that describe playlists."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from toolkit.catalogue.readers.tables.arrow_tables import ArrowParams, ArrowReader
from toolkit.catalogue.store import Catalogue
from toolkit.corpus.arrays import Corpus
from toolkit.corpus.build import build
from toolkit.corpus.corpus_reader import CorpusReader
from toolkit.corpus.splits import HeldOut
from toolkit.errors import InputError
from toolkit.evaluation.slices import by_playlist, check_fields
from toolkit.ingest.read_data import open_reader
from toolkit.recipe import Data

FIELDS = {"playlist_fields": {"mood": "feeling", "year": "made"}}
ROWS = pd.DataFrame(
    {
        "playlist_id": ["a", "a", "b", "b", "a", "c", "c"],
        "track_id": ["x", "y", "x", "z", "z", "y", "z"],
        "feeling": [" calm ", "calm", "party", "sad", "calm", None, "calm"],
        "made": [2001, 2001, 2002, 2002, 2001, 2003, 2003],
    }
)


def built(data: Data, folder: Path) -> tuple[Corpus, int]:
    reader = open_reader(data)
    return build(reader, None, folder), reader.doubles.count


@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet", "sorted csv"])
def test_playlist_fields_are_columns_of_playlists_with_the_first_value(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"lists.{kind.split()[-1]}"
    options: dict[str, object] = {**FIELDS}
    frame = ROWS.sort_values("playlist_id", kind="stable") if "sorted" in kind else ROWS
    if kind == "parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
        options |= {"sorted": "sorted" in kind}
    corpus, varied = built(Data(path=path, options=options), tmp_path / "corpus")

    assert corpus.playlists["field:mood"].to_pylist() == ["calm", "party", None]
    assert corpus.playlists["field:year"].to_pylist() == ["2001", "2002", "2003"]
    assert varied == 2  # b has two moods, and c a row without a mood


def test_playlist_fields_of_json_lines_and_of_list_columns_are_columns_of_playlists(tmp_path: Path) -> None:
    lists = [
        {"id": "a", "tracks": ["x", "y"], "feeling": "calm", "made": 2001},
        {"id": "b", "tracks": ["x", "z"], "made": 2002},
    ]
    (tmp_path / "lists.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lists))
    table = pa.Table.from_pylist([{"playlist_id": each["id"], "feeling": None, **each} for each in lists])
    lines, _ = built(Data(path=tmp_path / "lists.jsonl", options=FIELDS), tmp_path / "lines")
    columns = build(ArrowReader(table, None, ArrowParams.model_validate(FIELDS)), None, tmp_path / "columns")

    assert lines.digest() == columns.digest()
    assert lines.playlists["field:mood"].to_pylist() == ["calm", None]


@pytest.mark.parametrize("seed", range(20))
def test_columns_and_records_of_a_table_give_the_same_fields_and_the_same_number_of_varied_playlists(
    seed: int, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    n, moods = draw.randrange(2, 60), draw.choice([["x"], ["x", "y", None]])
    frame = pd.DataFrame(
        {
            "playlist_id": [f"p{draw.randrange(6)}" for _ in range(n)],
            "track_id": [f"t{draw.randrange(99)}" for _ in range(n)],
            "feeling": pd.Series([draw.choice(moods) for _ in range(n)], dtype=object),
            "made": [draw.choice([1, 1, 1, seed % 2]) for _ in range(n)],
        }
    )
    found = []
    for catalogue in (None, Catalogue.open(tmp_path / "catalogue.sqlite")):
        reader = ArrowReader(pa.Table.from_pandas(frame), None, ArrowParams.model_validate(FIELDS))
        corpus = build(reader, catalogue, tmp_path / str(catalogue is None))
        found.append((corpus.digest(), sorted(reader.doubles.examples)))
        if catalogue is not None:
            catalogue.close()

    groups = frame.fillna("").groupby("playlist_id")[["feeling", "made"]].nunique().max(axis=1)
    assert found[0] == found[1] and len(found[0][1]) == int((groups > 1).sum())


def test_corpus_reader_returns_the_fields(tmp_path: Path) -> None:
    ROWS.to_csv(tmp_path / "lists.csv", index=False)
    corpus, _ = built(Data(path=tmp_path / "lists.csv", options=FIELDS), tmp_path / "corpus")

    again = build(CorpusReader(tmp_path / "corpus"), None, tmp_path / "again")

    assert again.playlists.to_pydict() == corpus.playlists.to_pydict()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"playlist_fields": {"mood": "feelin"}}, r"no column 'feelin' \(option playlist_fields.mood\): did you mean"),
        ({"playlist_fields": ["feeling"]}, "playlist_fields"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_unknown_column_of_a_playlist_field_raises(
    kind: str, options: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / f"lists.{kind}"
    ROWS.to_csv(path, index=False) if kind == "csv" else ROWS.to_parquet(path)
    with pytest.raises(InputError, match=message):
        open_reader(Data(path=path, options=options)).check_source()


def test_missing_key_of_a_playlist_field_raises(tmp_path: Path) -> None:
    path = tmp_path / "lists.jsonl"
    path.write_text('{"id": "a", "tracks": ["x", "y"]}\n')
    reader = open_reader(Data(path=path, options={"playlist_fields": {"mood": "feeling"}}))

    with pytest.raises(InputError, match="no key 'feeling' in any line"):
        reader.check_source()
    with pytest.raises(InputError, match="no key 'feeling' in any line"):
        list(reader.read())


def test_slices_of_a_field_have_the_most_frequent_values_and_other(tmp_path: Path) -> None:
    rows = [(f"p{each}", f"t{each + k}", f"m{min(each, 25)}") for each in range(40) for k in (0, 1)]
    frame = pd.DataFrame(rows, columns=["playlist_id", "track_id", "feeling"])
    params = ArrowParams(playlist_fields={"mood": "feeling"})
    corpus = build(ArrowReader(pa.Table.from_pandas(frame), None, params), None, tmp_path / "corpus")
    chosen = corpus.offsets[:-1]
    held = HeldOut(corpus, np.arange(40), chosen, chosen + 1, corpus.offsets[1:])

    labels = by_playlist(held, ["field:mood"])["field:mood"].tolist()

    assert labels[25:] == ["m25"] * 15 and labels[1:3] == ["m1", "m2"] and labels.count("other") == 6
    with pytest.raises(InputError, match="slices=field:moo is not a field of the playlists: use field:mood"):
        check_fields(["seeds", "field:moo"], corpus.playlists)
    check_fields(["seeds", "field:mood"], corpus.playlists)
