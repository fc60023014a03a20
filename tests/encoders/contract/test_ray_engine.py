"""Tests of encoding with two Ray processes, including a killed process."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.encoders.conftest import picture
from tests.encoders.contract.worker_encoders import Broken, Slow
from toolkit.encoders.contract import encode as module
from toolkit.encoders.contract.encode import encode
from toolkit.encoders.contract.field_values import FieldValues
from toolkit.encoders.features.codes import CodesEncoder, CodesParams
from toolkit.encoders.features.features import FeaturesEncoder
from toolkit.encoders.image.conv_image_encoder import ImageParams
from toolkit.encoders.image.image_ae import ImageAeEncoder
from toolkit.encoders.text.tfidf import TfidfEncoder
from toolkit.errors import DataError, SegueError

ray = pytest.importorskip("ray", reason="engine: ray needs pip install 'segue[ray]'")
IDS = [f"local:{number}" for number in range(40)]
PRESENT = np.ones(40, bool)


ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True, scope="module")
def started():
    """Start Ray with workers that can import the encoders of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        yield
    ray.shutdown()


def texts() -> list[str]:
    return [f"word{number % 7} word{number % 5} word{number}" for number in range(40)]


@pytest.mark.parametrize(
    ("encoder", "kind", "values"),
    [
        (lambda: TfidfEncoder(), "text", texts()),
        (lambda: FeaturesEncoder(), "features", np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)),
        (
            lambda: ImageAeEncoder(ImageParams(size=32, patch=4, channels=[4, 4], epochs=1)),
            "image",
            [picture(n) for n in range(40)],
        ),
    ],
)
def test_two_ray_workers_return_the_vectors_of_one_process(encoder, kind, values, tmp_path, monkeypatch):
    monkeypatch.setitem(module.PART, kind, 16)
    here = encode(encoder(), FieldValues("x", IDS, PRESENT, values), cache=tmp_path / "here")
    there = encode(encoder(), FieldValues("x", IDS, PRESENT, values), cache=tmp_path / "there", engine="ray", workers=2)
    np.testing.assert_array_equal(there.matrix, here.matrix)
    assert not list((tmp_path / "there").rglob("inputs-*"))


def test_killed_ray_worker_is_replaced(tmp_path, monkeypatch):
    ray.shutdown()
    seen = tmp_path / "seen"
    seen.mkdir()
    # the workers of a cluster that starts now inherit it
    monkeypatch.setenv("SEGUE_TEST_WORKERS", str(seen))
    monkeypatch.setitem(module.PART, "category", 4)
    killed: list[int] = []

    def kill() -> None:
        while len(list(seen.iterdir())) < 3:
            time.sleep(0.02)
        last = max(seen.iterdir(), key=lambda path: int(path.name.partition("-")[2]))
        killed.append(int(last.name.partition("-")[0]))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    values = [f"artist {number}" for number in range(40)]
    made = encode(
        Slow(CodesParams(dim=4)),
        FieldValues("x", IDS, PRESENT, values),
        cache=tmp_path / "cache",
        engine="ray",
        workers=2,
    )
    killer.join()
    processes = {int(path.name.partition("-")[0]) for path in seen.iterdir()}
    assert killed[0] in processes and len(processes) >= 3, "two workers, and the one that took the killed one's place"
    np.testing.assert_array_equal(made.matrix[1:], CodesEncoder(CodesParams(dim=4)).transform(values))
    ray.shutdown()


def test_error_for_invalid_input_in_a_ray_worker_names_the_track(tmp_path, monkeypatch):
    monkeypatch.setitem(module.PART, "image", 16)
    values = [picture(number) for number in range(40)]
    encoder = ImageAeEncoder(ImageParams(size=32, patch=4, channels=[4, 4], epochs=1)).fit(values)
    values[21] = b"no picture"
    monkeypatch.setattr(ImageAeEncoder, "requires_fit", False)
    with pytest.raises(DataError, match="track 'local:21' has a file that is not a picture"):
        encode(encoder, FieldValues("x", IDS, PRESENT, values), cache=tmp_path, engine="ray", workers=2)


def test_encoder_error_in_a_ray_worker_raises_one_line_error(tmp_path):
    ray.shutdown()
    with pytest.raises(SegueError, match="encoder 'codes' failed in a Ray worker .*this encoder is broken"):
        encode(
            Broken(CodesParams(dim=4)), FieldValues("x", IDS, PRESENT, texts()), cache=tmp_path, engine="ray", workers=1
        )
