"""Tests of reading dataframes from several libraries, and of table digests."""

from __future__ import annotations

import datasets
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest

from toolkit.catalogue.readers.tables.arrow_tables import ArrowReader
from toolkit.catalogue.readers.tables.dataframes import table_of
from toolkit.catalogue.readers.tables.table_digest import table_digest
from toolkit.catalogue.records import PlaylistRecord, TrackRecord
from toolkit.errors import InputError

ROWS = {"playlist_id": ["m", "m", "e"], "track_id": [1, 2, 1], "title": ["Ay", None, "Ay"]}
FRAMES = {
    "arrow": lambda: pa.table(ROWS),
    "batch": lambda: pa.table(ROWS).to_batches()[0],
    "stream": lambda: pa.table(ROWS).to_reader(),
    "pandas": lambda: pd.DataFrame(ROWS),
    "pandas with objects": lambda: pd.DataFrame(ROWS | {"title": np.array(["Ay", float("nan"), "Ay"], object)}),
    "pandas with categories": lambda: pd.DataFrame(ROWS).astype({"playlist_id": "category"}),
    "pandas with an index": lambda: pd.DataFrame(ROWS).set_index("playlist_id"),
    "polars": lambda: polars.DataFrame(ROWS),
    "polars with categories": lambda: polars.DataFrame(ROWS, schema_overrides={"playlist_id": polars.Categorical}),
    "hugging face": lambda: datasets.Dataset.from_dict(ROWS),
}


@pytest.mark.parametrize("name", FRAMES)
def test_all_dataframe_libraries_give_the_same_records(name: str) -> None:
    assert list(ArrowReader(table_of(FRAMES[name]())).read()) == [
        TrackRecord("local:1", "Ay", source="table"),
        TrackRecord("local:2", source="table"),
        PlaylistRecord("m", ["local:1", "local:2"]),
        PlaylistRecord("e", ["local:1"]),
    ]


@pytest.mark.parametrize("name", FRAMES)
def test_all_dataframe_libraries_give_the_same_digest(name: str) -> None:
    assert table_digest(table_of(FRAMES[name]())) == table_digest(pa.table(ROWS))


def test_filtered_and_shuffled_dataset_rows_are_read() -> None:
    shown = datasets.Dataset.from_dict(ROWS).select([2, 0])

    assert table_of(shown).to_pydict() == {name: [values[2], values[0]] for name, values in ROWS.items()}


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (polars.LazyFrame(ROWS), r"plays is a polars\.LazyFrame: give frame\.collect\(\)"),
        (datasets.DatasetDict({"train": datasets.Dataset.from_dict(ROWS)}), r"give one of its splits"),
        ([1, 2], r"plays is a list, which is not a table: give a pandas or Polars frame"),
        (pd.DataFrame({"a": [1, "x"]}), r"plays, column 'a' must have values of one type "),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), r"plays: the column name 'a' must be unique"),
        (pd.DataFrame([[1, 2]]), r"plays: column name 0 must be text: rename the column"),
    ],
)
def test_object_that_is_not_a_table_raises_with_a_cure(frame: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        table_of(frame, "plays")


WIDE = pa.table(
    {
        "text": ["a", None, "", "déjà"],
        "number": [1, 2, None, 4],
        "real": [0.5, float("nan"), None, -1.0],
        "truth": [True, None, False, True],
        "list": [[1, 2], [], None, [3]],
        "nested": [[["a"], []], None, [[]], [["b", "c"]]],
        "struct": [{"x": 1}, {"x": None}, None, {"x": 2}],
        "bytes": [b"\x00", b"", None, b"zz"],
        "time": pa.array([1, None, 3, 4], pa.timestamp("us")),
        "decimal": pa.array([None, 1, 2, 3], pa.decimal128(9, 2)),
    }
)


def test_table_digest_ignores_chunks_slices_padding_and_encoding() -> None:
    whole = table_digest(WIDE)
    twice = pa.concat_tables([WIDE, WIDE])

    assert table_digest(pa.concat_tables([WIDE.slice(0, 1), WIDE.slice(1, 2), WIDE.slice(3)])) == whole
    assert table_digest(twice.slice(4)) == whole
    texts = WIDE["text"].cast(pa.large_string()).dictionary_encode()
    assert table_digest(WIDE.set_column(0, "text", texts)) == whole


@pytest.mark.parametrize("name", WIDE.schema.names)
def test_table_digest_depends_on_every_value_and_their_order(name: str) -> None:
    place = WIDE.schema.names.index(name)
    column = WIDE[name]
    seen = {table_digest(WIDE)}
    for changed in (column.take([1, 0, 2, 3]), column.take([0, 0, 2, 3]), column.take([0, 1, 2, None])):
        seen.add(table_digest(WIDE.set_column(place, name, changed)))
    seen.add(
        table_digest(WIDE.rename_columns([f"{other}x" if other == name else other for other in WIDE.schema.names]))
    )

    assert len(seen) == 5


def test_table_digest_depends_on_boundaries_between_texts() -> None:
    assert (
        len(
            {
                table_digest(pa.table({"a": texts}))
                for texts in (["ab", "c"], ["a", "bc"], ["abc", ""], ["abc", None], ["", "abc"])
            }
        )
        == 5
    )
