"""Tests of precomputed vectors in every file format, and of errors for invalid files."""

from __future__ import annotations

import gzip
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from segue.checks.check_encoder import check_encoder
from toolkit.catalogue.records import PlaylistRecord, TrackRecord
from toolkit.catalogue.store import Catalogue
from toolkit.encoders.contract.content_hash import digests
from toolkit.encoders.contract.encode import encode
from toolkit.encoders.contract.encoding_cache import EncodingCache, Tracks
from toolkit.encoders.contract.field_values import FieldValues
from toolkit.encoders.features.vector_files import VectorSource, read
from toolkit.encoders.features.vectors import VectorsEncoder, VectorsParams
from toolkit.errors import DataError, InputError
from toolkit.recipe import EncoderSpec

IDS = ["local:a", "isrc:GBAAA0000001", "b", "spotify:track:c"]
MATRIX = np.array([[0.5, 1.0, -2.0], [3.0, 0.25, 0.0], [1.5, 2.5, 3.5], [0.0, 0.0, 1.0]])


def npy(folder: Path) -> dict[str, object]:
    np.save(folder / "mine.npy", MATRIX)
    np.save(folder / "ids.npy", np.array(IDS))
    return {"file": folder / "mine.npy", "ids": folder / "ids.npy"}


def npy_and_text(folder: Path) -> dict[str, object]:
    np.save(folder / "mine.npy", MATRIX.astype(np.float16))
    (folder / "ids.txt").write_text("\n".join(IDS) + "\n")
    return {"file": folder / "mine.npy", "ids": folder / "ids.txt"}


def npy_and_json(folder: Path) -> dict[str, object]:
    np.save(folder / "mine.npy", MATRIX.astype(np.float32))
    (folder / "ids.json").write_text(json.dumps(IDS))
    return {"file": folder / "mine.npy", "ids": folder / "ids.json"}


def npz(folder: Path) -> dict[str, object]:
    np.savez(folder / "mine.npz", ids=np.array(IDS), matrix=MATRIX)
    return {"file": folder / "mine.npz"}


def npz_of_other_names(folder: Path) -> dict[str, object]:
    np.savez_compressed(folder / "mine.npz", who=np.array(IDS, dtype="S"), x=MATRIX, y=MATRIX + 1)
    return {"file": folder / "mine.npz", "id": "who", "columns": ["x"]}


def parquet_of_lists(folder: Path) -> dict[str, object]:
    table = pa.table(
        {"track_id": IDS, "rank": [1, 2, 3, 4], "embedding": pa.array(MATRIX.tolist(), pa.list_(pa.float32(), 3))}
    )
    pq.write_table(table, folder / "mine.parquet")
    return {"file": folder / "mine.parquet"}


def parquet_of_numbers(folder: Path) -> dict[str, object]:
    table = pa.table({"key": IDS, "name": ["x"] * 4, **{f"v{place}": column for place, column in enumerate(MATRIX.T)}})
    pq.write_table(
        table.set_column(0, "key", table["key"].dictionary_encode()), folder / "mine.parquet", row_group_size=2
    )
    return {"file": folder / "mine.parquet", "id": "key"}


def safetensors_of_a_run(folder: Path) -> dict[str, object]:
    present = np.ones(4, bool)
    tracks = Tracks(IDS, present, digests("category", IDS), present)
    EncodingCache(folder).store(
        "mine", VectorsEncoder(VectorsParams(file=folder)), tracks, MATRIX.astype(np.float32), ~present
    )
    return {"file": folder / "mine.safetensors"}


def safetensors_and_text(folder: Path) -> dict[str, object]:
    save_file({"matrix": MATRIX.astype(np.float16)}, folder / "mine.safetensors")
    (folder / "ids.txt").write_text("\n".join(IDS))
    return {"file": folder / "mine.safetensors", "ids": folder / "ids.txt"}


def csv(folder: Path) -> dict[str, object]:
    rows = [
        "track_id,name,x,y,z",
        *(f"{each},n,{','.join(map(str, row))}" for each, row in zip(IDS, MATRIX.tolist(), strict=True)),
    ]
    (folder / "mine.csv").write_text("\n".join(rows))
    return {"file": folder / "mine.csv"}


def zipped_tsv(folder: Path) -> dict[str, object]:
    rows = ["id\tx\ty\tz", *("\t".join([each, *map(str, row)]) for each, row in zip(IDS, MATRIX.tolist(), strict=True))]
    with gzip.open(folder / "mine.tsv.gz", "wt") as file:
        file.write("\n".join(rows))
    return {"file": folder / "mine.tsv.gz"}


FORMS = [
    npy,
    npy_and_text,
    npy_and_json,
    npz,
    npz_of_other_names,
    parquet_of_lists,
    parquet_of_numbers,
    safetensors_of_a_run,
    safetensors_and_text,
    csv,
    zipped_tsv,
]


def encoder(**params: object) -> VectorsEncoder:
    return VectorsEncoder(VectorsParams.model_validate(params))


@pytest.mark.parametrize("form", FORMS)
def test_vectors_are_read_from_every_file_format(form: Callable[[Path], dict[str, object]], tmp_path: Path) -> None:
    made = encoder(**form(tmp_path))

    found = made.transform(["isrc:GBAAA0000001", "local:b", "local:a", "spotify:track:c", "local:nobody"])

    assert made.dim == 3
    assert found.dtype == np.float32
    assert np.array_equal(found[:4], MATRIX[[1, 2, 0, 3]].astype(np.float32))
    assert np.isnan(found[4]).all()


@pytest.mark.parametrize("form", FORMS)
def test_vectors_encoder_passes_check_encoder(form: Callable[[Path], dict[str, object]], tmp_path: Path) -> None:
    check_encoder(VectorsEncoder, ["local:a", "isrc:GBAAA0000001", "local:b", "spotify:track:c"], form(tmp_path))


def test_vectors_accept_ids_without_scheme(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", ids=np.array(["7", "4iV5W9uYEdYUVa79Axb7Rh"]), matrix=np.eye(2))
    made = encoder(file=tmp_path / "mine.npz")

    assert np.array_equal(
        made.transform(["local:7", "spotify:track:4iV5W9uYEdYUVa79Axb7Rh", "mine:7"]), np.eye(2)[[0, 1, 0]]
    )
    np.savez(tmp_path / "whole.npz", ids=np.array([7, 12]), matrix=np.eye(2))
    assert np.array_equal(encoder(file=tmp_path / "whole.npz").transform(["local:12"]), [[0, 1]])


def test_numeric_ids_in_a_csv_file_stay_text(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("id,x\n007,1\n7,2\n")

    assert read(VectorSource(tmp_path / "mine.csv"))[0] == ["007", "7"]


def test_nan_rows_and_missing_ids_make_tracks_absent(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "mine.npz",
        ids=np.array(["a", "b", "c"]),
        matrix=np.array([[1.0, 2.0], [np.nan, np.nan], [0.0, 0.0]]),
    )
    ids = ["local:a", "local:b", "local:c", "local:d"]

    with pytest.warns(
        RuntimeWarning,
        match=r"mine: 2 of 4 tracks have an input that is not in the file of vectors and count as absent:"
        r" 'local:b', 'local:d'",
    ):
        made = encode(
            encoder(file=tmp_path / "mine.npz"),
            FieldValues("mine", ids, np.ones(4, bool), ids),
            cache=tmp_path / "cache",
        )

    # a vector of zeros is a vector: who made it said so
    assert made.present.tolist() == [False, True, False, True, False]
    assert made.matrix.tolist() == [[0, 0], [1, 2], [0, 0], [0, 0], [0, 0]]
    other = ["local:x"]
    with pytest.raises(InputError, match=r"mine: none of 1 inputs has a vector in the file: use ids of the catalogue"):
        encode(
            encoder(file=tmp_path / "mine.npz"),
            FieldValues("mine", other, np.ones(1, bool), other),
            cache=tmp_path / "cache",
        )


def test_changed_vector_file_is_encoded_again(tmp_path: Path) -> None:
    ids, path = ["local:a", "local:b"], tmp_path / "mine.npz"
    for factor in (1, 2):
        np.savez(path, ids=np.array(["a", "b"]), matrix=np.eye(2) * factor)
        made = encode(encoder(file=path), FieldValues("mine", ids, np.ones(2, bool), ids), cache=tmp_path / "cache")
        assert made.matrix[1].tolist() == [factor, 0]
    assert len(list((tmp_path / "cache").glob("*.safetensors"))) == 2


def saved(path: Path, **arrays: object) -> dict[str, object]:
    np.savez(path, **{name: np.array(value) for name, value in arrays.items()})
    return {"file": path}


def written(path: Path, content: bytes | str, **more: object) -> dict[str, object]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {"file": path, **more}


def columns(path: Path, **given: object) -> dict[str, object]:
    pq.write_table(pa.table(given), path)
    return {"file": path}


FAULTS: list[tuple[Callable[[Path], dict[str, object]], str]] = [
    (lambda d: {"file": d / "gone.npz"}, r"gone\.npz does not exist: pass the path of an existing file"),
    (lambda d: written(d / "x.pt", "x"), r"x\.pt must end in \.npy, .*: save the vectors"),
    (
        lambda d: written(d / "x.npy", "x"),
        r"x\.npy contains vectors without ids: set `ids` to a file of ids, or save a \.npz",
    ),
    (lambda d: {**npy(d), "ids": d / "gone.txt"}, r"gone\.txt does not exist"),
    (
        lambda d: saved(d / "x.npz", ids=["a", "b"], matrix=np.eye(3)),
        r"x\.npz: 2 ids must match 3 vectors: save one id per vector",
    ),
    (
        lambda d: saved(d / "x.npz", ids=["a", "a"], matrix=np.eye(2)),
        r"x\.npz: the id 'a' occurs twice but must be unique: remove the second vector",
    ),
    (lambda d: saved(d / "x.npz", ids=["a", "local:a"], matrix=np.eye(2)), r"x\.npz: the id 'local:a' occurs twice"),
    (
        lambda d: saved(d / "x.npz", ids=["a", "b"], matrix=[1, 2]),
        r"x\.npz: the vectors have shape \(2,\) but must have \(n, d\)",
    ),
    (
        lambda d: saved(d / "x.npz", ids=["a"], matrix=[["1"]]),
        r"x\.npz: the vectors have dtype <U1 but must be numbers: save the vectors as float32",
    ),
    (
        lambda d: saved(d / "x.npz", ids=[0.5], matrix=[[1.0]]),
        r"x\.npz: the ids have dtype float64 and shape \(1,\) but must be one id per vector: save",
    ),
    (
        lambda d: saved(d / "x.npz", ids=["a"], matrix=[[1.0, np.nan]]),
        r"x\.npz: the vector of 'a' contains NaN or infinity but must be finite: correct",
    ),
    (
        lambda d: saved(d / "x.npz", ids=["a"], matrix=[[1e39, 0.0]]),
        r"x\.npz: the vector of 'a' contains NaN or infinity",
    ),
    (lambda d: saved(d / "x.npz", ids=["a"], matrix=[[np.nan]]), r"x\.npz must contain at least 1 vector"),
    (
        lambda d: saved(d / "x.npz", ids=["a"], mat=[[1.0]]),
        r"x\.npz must contain 'matrix' or 'vectors' or 'embeddings' but contains ids, mat.*: set columns",
    ),
    (
        lambda d: saved(d / "x.npz", ids=["a"], matrix=[[1.0]]) | {"id": "who"},
        r"x\.npz must contain 'who' but contains ids, matrix: set id",
    ),
    (
        lambda d: saved(d / "x.npz", ids=np.array(["a"], object), matrix=[[1.0]]),
        r"x\.npz, array 'ids' cannot be read \(.*a pickle, which is never loaded\): save",
    ),
    (
        lambda d: written(d / "x.npz", pickle.dumps({"a": 1})),
        r"x\.npz cannot be read \(not a NumPy file, or a pickle",
    ),
    (
        lambda d: written(d / "x.npz", npz(d)["file"].read_bytes()[:200]),  # type: ignore[attr-defined]
        r"x\.npz cannot be read \(.*",
    ),
    (lambda d: written(d / "x.parquet", "x"), r"x\.parquet is not a Parquet file or is damaged"),
    (
        lambda d: columns(d / "x.parquet", id=["a", "b"], v=[[1.0], [1.0, 2.0]]),
        r"x\.parquet, column 'v' has vectors of 1 to 2 numbers but must have one dimension",
    ),
    (
        lambda d: columns(d / "x.parquet", id=["a", None], v=[1.0, 2.0]),
        r"x\.parquet, column 'id': the id None must be text or a whole number",
    ),
    (
        lambda d: columns(d / "x.parquet", id=["a"], v=["x"]),
        r"x\.parquet must have numbers next to 'id' but has only id, v: add a column",
    ),
    (
        lambda d: columns(d / "x.parquet", id=["a"], v=["x"]) | {"columns": ["v"]},
        r"x\.parquet, column 'v' has type string but must contain numbers",
    ),
    (
        lambda d: columns(d / "x.parquet", id=["a"], v=[[1]], w=[[2]]),
        r"x\.parquet must have one column of vectors but has v, .*: set `columns: \[v\]`",
    ),
    (
        lambda d: columns(d / "x.parquet", key=["a"], v=[1.0]),
        r"x\.parquet must contain 'ids' or 'id' or 'track_id' but contains key, v: set id",
    ),
    (
        lambda d: written(d / "x.safetensors", "x"),
        r"x\.safetensors cannot be read \(.*\): save the vectors as float32 or float16",
    ),
    (lambda d: written(d / "x.csv", "id,x\na,1\nb\n"), r"x\.csv cannot be read \(CSV parse error"),
    (lambda d: written(d / "x.csv", ""), r"x\.csv cannot be read \("),
]


@pytest.mark.parametrize(("make", "message"), FAULTS, ids=[str(place) for place in range(len(FAULTS))])
def test_invalid_vector_file_raises_one_line_error(
    make: Callable[[Path], dict[str, object]], message: str, tmp_path: Path
) -> None:
    with pytest.raises((InputError, DataError), match=message) as caught:
        encoder(**make(tmp_path)).transform(["local:a"])
    assert "\n" not in str(caught.value)


def test_vectors_read_the_id_field_by_default() -> None:
    assert EncoderSpec(encoder="vectors", params={"file": "mine.npz"}).field == "id"
    assert EncoderSpec(encoder="vectors", field="{id}", params={"file": "mine.npz"}).field == "{id}"


def test_catalogue_has_the_id_of_every_track_as_a_field(tmp_path: Path) -> None:
    with Catalogue.open(tmp_path / "catalogue.db") as catalogue:
        catalogue.add([TrackRecord("local:a"), PlaylistRecord("1", ["local:a", "local:b"])])
        for field in ("id", "{id}"):
            present, values = catalogue.field_values(field, ["local:b", "local:a"])
            assert present.all() and list(values) == ["local:b", "local:a"]
        assert catalogue.provenance("id", ["local:b"]) == [{"field": "id", "source": "", "train_allowed": True, "n": 1}]
