from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from toolkit.catalogue.blobs import BlobStore, BlobValues
from toolkit.errors import InputError, SegueError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_blob_key_is_the_sha256_and_its_file_is_two_folders_deep(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)

    assert store.put(b"abc") == ABC
    assert store.path(ABC) == tmp_path / "ba" / "78" / ABC
    assert store.get(ABC) == b"abc"
    assert ABC in store


def test_identical_blobs_are_stored_once(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    store.put(b"abc")
    written = store.path(ABC).stat().st_mtime_ns

    store.put(b"abc")

    assert store.path(ABC).stat().st_mtime_ns == written
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [ABC]


def test_file_larger_than_a_chunk_is_stored(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "song.ogg").write_bytes(content)
    store = BlobStore(tmp_path / "blobs")

    key = store.put_file(tmp_path / "song.ogg")

    assert key == hashlib.sha256(content).hexdigest()
    assert store.get(key) == content


@pytest.mark.parametrize("key", ["", "../../etc/passwd", ABC[:-1], ABC.upper(), ABC + "\n", "/" + ABC])
def test_blob_key_that_is_not_hex_raises(key: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must be a SHA-256 with 64 hex digits"):
        BlobStore(tmp_path).get(key)


def test_unknown_blob_key_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"blob {ABC} is missing"):
        BlobStore(tmp_path).get(ABC)


def test_storing_a_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gone\.ogg cannot be read \(No such file"):
        BlobStore(tmp_path).put_file(tmp_path / "gone.ogg")


def test_full_disk_leaves_no_partial_blob(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(SegueError, match=r"^blob ba7816bf8f01… cannot be written to .* \(No space left on device\)"):
        BlobStore(tmp_path).put(b"abc")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_blob_values_are_read_by_index(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    values = BlobValues(store, [store.put(b"a"), store.put(b"b"), store.put(b"a")])

    assert list(values) == [b"a", b"b", b"a"]
    assert list(values[1:]) == [b"b", b"a"]
    assert [path.read_bytes() for path in values.paths()] == [b"a", b"b", b"a"]
