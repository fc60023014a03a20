"""Tests of encoding a catalogue field, with missing values, repeats, cache, errors and resuming."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from toolkit.encoders.contract import encode as module
from toolkit.encoders.contract.encode import FitOn, encode
from toolkit.encoders.contract.field_values import FieldValues
from toolkit.encoders.features.codes import CodesEncoder, CodesParams
from toolkit.encoders.features.features import FeaturesEncoder
from toolkit.encoders.features.features_vae import FeaturesVaeEncoder, FeaturesVaeParams
from toolkit.encoders.image.conv_image_encoder import ImageParams
from toolkit.encoders.image.image_ae import ImageAeEncoder
from toolkit.encoders.text.tfidf import TfidfEncoder, TfidfParams
from toolkit.errors import DataError, InputError, SegueError

IDS = ["local:a", "local:b", "local:c", "local:d"]
PRESENT = np.array([True, False, True, True])


class Counting(CodesEncoder):
    """Codes encoder that records the inputs of `transform`."""

    def __init__(self, params=None, *, seed=0, device="cpu"):
        super().__init__(params, seed=seed, device=device)
        self.seen = []

    def transform(self, inputs, *, progress=None):
        self.seen += list(inputs)
        return super().transform(inputs)


class Supervised(FeaturesEncoder):
    """Encoder that records its training data."""

    def fit(self, inputs, targets=None, *, workdir=None, progress=None):
        self.fitted_on = (np.asarray(inputs).tolist(), None if targets is None else targets.tolist())
        return super().fit(inputs)


def test_encoded_rows_keep_the_order_of_the_tracks(tmp_path):
    made = encode(
        CodesEncoder(CodesParams(dim=4)), FieldValues("artist", IDS, PRESENT, ["x", "y", "x"]), cache=tmp_path
    )
    x, y = CodesEncoder(CodesParams(dim=4)).transform(["x", "y"])
    np.testing.assert_array_equal(made.matrix, [np.zeros(4), x, np.zeros(4), y, x])
    assert made.matrix.dtype == np.float32
    assert made.present.tolist() == [False, True, False, True, True]
    assert (made.name, made.encoder) == ("artist", 'codes {"dim": 4}')


def test_identical_values_are_transformed_once_and_then_cached(tmp_path):
    first, second = Counting(), Counting()
    made = encode(first, FieldValues("artist", IDS, PRESENT, ["x", "y", "x"]), cache=tmp_path)
    again = encode(second, FieldValues("artist", IDS, PRESENT, ["x", "y", "x"]), cache=tmp_path)
    assert (first.seen, second.seen) == (["x", "y"], [])
    np.testing.assert_array_equal(made.matrix, again.matrix)


def test_damaged_cache_entry_is_recomputed(tmp_path):
    made = encode(Counting(), FieldValues("artist", IDS, PRESENT, ["x", "y", "x"]), cache=tmp_path)
    (entry,) = tmp_path.glob("*.safetensors")
    entry.write_bytes(entry.read_bytes()[: entry.stat().st_size // 2])
    encoder = Counting()
    with pytest.warns(RuntimeWarning, match="recomputed"):
        again = encode(encoder, FieldValues("artist", IDS, PRESENT, ["x", "y", "x"]), cache=tmp_path)
    assert encoder.seen == ["x", "y"]
    np.testing.assert_array_equal(made.matrix, again.matrix)
    assert encode(Counting(), FieldValues("artist", IDS, PRESENT, ["x", "y", "x"]), cache=tmp_path).coverage == 0.75


def test_fitted_encoder_is_restored_from_the_cache(tmp_path):
    values = [[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]]
    encode(FeaturesEncoder(), FieldValues("audio", IDS, PRESENT, values), cache=tmp_path)
    encoder = FeaturesEncoder(seed=9)
    made = encode(encoder, FieldValues("audio", IDS, PRESENT, values), cache=tmp_path)
    assert encoder.seed == 9
    np.testing.assert_allclose(encoder.transform([[3.0, 5.0]]), [[0.0, 0.0]])
    np.testing.assert_allclose(made.matrix[1:, 0], [-(1.5**0.5), 0, 0, 1.5**0.5], rtol=1e-6)


def test_damaged_fitted_encoder_is_fitted_again(tmp_path):
    values = [[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]]
    encode(FeaturesEncoder(), FieldValues("audio", IDS, PRESENT, values), cache=tmp_path)
    next(tmp_path.glob("*.encoder/encoder.safetensors")).unlink()
    encoder = FeaturesEncoder()
    with pytest.warns(RuntimeWarning, match="recomputed"):
        encode(encoder, FieldValues("audio", IDS, PRESENT, values), cache=tmp_path)
    assert encoder.dim == 2


def test_fit_receives_distinct_texts_of_the_chosen_tracks(tmp_path):
    encoder = TfidfEncoder()
    encode(encoder, FieldValues("genres", IDS, PRESENT, ["rock", "jazz", "rock"]), cache=tmp_path)
    # idf = ln((1 + n) / (1 + df)) + 1 with n = 2 texts, not 3
    np.testing.assert_allclose(encoder.weights, [np.log(3 / 2) + 1] * 2)
    chosen = Supervised()
    encode(
        chosen,
        FieldValues("audio", IDS, PRESENT, [[1.0], [2.0], [3.0]]),
        cache=tmp_path,
        fit_on=FitOn(tracks=np.array([True, True, False, True])),
    )
    assert chosen.fitted_on == ([[1.0], [3.0]], None)


def test_supervised_encoder_receives_one_target_per_track(tmp_path):
    encoder = Supervised()
    targets = np.arange(8, dtype=np.float32).reshape(4, 2)
    encode(
        encoder,
        FieldValues("audio", IDS, PRESENT, [[1.0], [2.0], [3.0]]),
        cache=tmp_path,
        fit_on=FitOn(targets=targets),
    )
    assert encoder.fitted_on == ([[1.0], [2.0], [3.0]], [[0.0, 1.0], [4.0, 5.0], [6.0, 7.0]])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0, 2.0], [1.0, float("nan")], [1.0, 2.0]], "audio: track 'local:c' has nan in column 1"),
        ([[1.0, 2.0], [1.0, 2.0], [float("inf"), 2.0]], "audio: track 'local:d' has inf in column 0"),
        ([[1.0, 2.0], [1.0, 2.0], [1e300, 2.0]], "audio: track 'local:d' has 1e\\+300 in column 0"),
        ([[1.0, 2.0], [1.0, None], [1.0, 2.0]], "audio: track 'local:c' has None in column 1"),
        ([[1.0, 2.0], [1.0], [1.0, 2.0]], "audio: track 'local:c' has 1 features but must have 2 like track 'local:a'"),
        ([[], [], []], "audio: track 'local:a' has 0 features but must have at least 1"),
        (["loud", "soft", "mild"], "audio: features must be lists of numbers"),
        ([1.0, 2.0, 3.0], "audio: features must be lists of numbers"),
    ],
)
def test_invalid_features_raise_data_error_with_the_track(tmp_path, values, message):
    with pytest.raises(DataError, match=message):
        encode(FeaturesEncoder(), FieldValues("audio", IDS, PRESENT, values), cache=tmp_path)


def test_damaged_cover_raises_data_error_with_the_track(tmp_path, pictures):
    encoder = ImageAeEncoder(ImageParams(size=32, patch=2, channels=[4], latent=2, epochs=1))
    missing = tmp_path / "gone.png"
    for bad, message in (
        (b"hello", "'local:d' has a file that is not a picture"),
        (pictures[2][:200], "'local:d' has a file that is a damaged image"),
    ):
        with pytest.raises(DataError, match=f"cover: track {message}"):
            encode(encoder, FieldValues("cover", IDS, PRESENT, [pictures[0], pictures[0], bad]), cache=tmp_path)
    with pytest.raises(DataError, match="cover: track 'local:c' has a file that cannot be read"):
        encode(encoder, FieldValues("cover", IDS, PRESENT, [pictures[0], missing, pictures[1]]), cache=tmp_path)
    with pytest.raises(
        DataError, match="cover: track 'local:a' has '.*' .str., but image requires bytes or Path: set another field"
    ):
        encode(encoder, FieldValues("cover", IDS, PRESENT, ["x", "y", "z"]), cache=tmp_path)


def test_encoding_accepts_covers_as_paths(tmp_path, pictures):
    files = [tmp_path / f"{place}.png" for place in range(3)]
    for file, picture in zip(files, pictures, strict=False):
        file.write_bytes(picture)
    params = ImageParams(size=32, patch=2, channels=[4], latent=2, epochs=1)
    by_file = encode(ImageAeEncoder(params), FieldValues("cover", IDS, PRESENT, files), cache=tmp_path / "a")
    by_bytes = encode(ImageAeEncoder(params), FieldValues("cover", IDS, PRESENT, pictures[:3]), cache=tmp_path / "b")
    np.testing.assert_array_equal(by_file.matrix, by_bytes.matrix)
    assert [path.name for path in (tmp_path / "a").iterdir()] == [path.name for path in (tmp_path / "b").iterdir()]


def test_mismatched_sizes_or_no_inputs_raise_input_error(tmp_path):
    with pytest.raises(InputError, match="artist: at least 1 of 4 tracks must have this field"):
        encode(CodesEncoder(), FieldValues("artist", IDS, np.zeros(4, bool), []), cache=tmp_path)
    with pytest.raises(InputError, match="present of shape \\(4,\\) with 3 true must match 4 ids and 2 values"):
        encode(CodesEncoder(), FieldValues("artist", IDS, PRESENT, ["x", "y"]), cache=tmp_path)
    with pytest.raises(InputError, match="at least 1 training track must have this field"):
        encode(
            FeaturesEncoder(),
            FieldValues("audio", IDS, PRESENT, [[1.0]] * 3),
            cache=tmp_path,
            fit_on=FitOn(tracks=~PRESENT),
        )


def test_invalid_output_of_a_plugin_raises_segue_error(tmp_path):
    from tests.encoders.contract.broken_encoders import Float64, NotFinite

    with pytest.raises(SegueError, match=r"returned float64 \(2, 256\) but must return float32 \(2, 256\)"):
        encode(Float64(), FieldValues("artist", IDS, PRESENT, ["x", "y", "x"]), cache=tmp_path)
    with pytest.raises(SegueError, match="returned NaN or infinity for input 0"):
        encode(NotFinite(), FieldValues("artist", IDS, PRESENT, ["x", "y", "x"]), cache=tmp_path)


def test_encoding_after_a_failure_reuses_finished_parts(tmp_path, monkeypatch):
    monkeypatch.setitem(module.PART, "category", 10)
    ids, values = [f"local:{place}" for place in range(35)], [str(place) for place in range(35)]
    unbroken = encode(Counting(), FieldValues("artist", ids, np.ones(35, bool), values), cache=tmp_path / "a")

    class Failing(Counting):
        def transform(self, inputs, *, progress=None):
            if "25" in inputs:
                raise KeyboardInterrupt
            return super().transform(inputs)

    with pytest.raises(KeyboardInterrupt):
        encode(Failing(), FieldValues("artist", ids, np.ones(35, bool), values), cache=tmp_path / "b")
    encoder = Counting()
    resumed = encode(encoder, FieldValues("artist", ids, np.ones(35, bool), values), cache=tmp_path / "b")
    assert encoder.seen == values[20:]
    assert resumed.matrix.tobytes() == unbroken.matrix.tobytes()
    (entry,) = (tmp_path / "a").glob("*.safetensors")
    assert (tmp_path / "b" / entry.name).read_bytes() == entry.read_bytes()
    assert not list((tmp_path / "b" / "unfinished").iterdir())


def test_encoding_progress_counts_distinct_inputs(tmp_path, monkeypatch):
    monkeypatch.setitem(module.PART, "category", 2)
    seen = []
    values = ["x", "y", "z"]
    encode(
        CodesEncoder(),
        FieldValues("artist", IDS, PRESENT, values),
        cache=tmp_path,
        progress=lambda *step: seen.append(step),
    )
    assert seen == [(2, 3, "encode artist"), (2, 3, "encode artist"), (3, 3, "encode artist"), (3, 3, "encode artist")]


KILLED = """
import sys, time
from pathlib import Path
import numpy as np, torch
torch.set_num_threads(1)
from toolkit.encoders.contract.encode import PART, encode
from toolkit.encoders.contract.field_values import FieldValues
from toolkit.encoders.features.features_vae import FeaturesVaeEncoder, FeaturesVaeParams
PART["features"] = 64
def slow(done, total, what):
    time.sleep(0.003)
values = np.random.default_rng(0).normal(size=(300, 4)).tolist()
params = FeaturesVaeParams(latent=3, hidden=[8], epochs=12, batch=16, output="sample")
field = FieldValues("audio", [f"local:{i}" for i in range(300)], np.ones(300, bool), values)
encode(FeaturesVaeEncoder(params, seed=4), field, cache=Path(sys.argv[1]), progress=slow)
"""


def test_resuming_a_killed_fit_gives_identical_bytes(tmp_path, monkeypatch):
    monkeypatch.setitem(module.PART, "features", 64)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "killed")]
    process = subprocess.Popen(command, env=environment)
    _wait_for(tmp_path / "killed", "unfinished/*/fit/checkpoint.safetensors", process)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not list((tmp_path / "killed").glob("*.safetensors"))
    subprocess.run(command, env=environment, check=True)
    values = np.random.default_rng(0).normal(size=(300, 4)).tolist()
    params = FeaturesVaeParams(latent=3, hidden=[8], epochs=12, batch=16, output="sample")
    encoder, whole = FeaturesVaeEncoder(params, seed=4), tmp_path / "whole"
    encode(
        encoder,
        FieldValues("audio", [f"local:{place}" for place in range(300)], np.ones(300, bool), values),
        cache=whole,
    )
    (entry,) = whole.glob("*.safetensors")
    assert (tmp_path / "killed" / entry.name).read_bytes() == entry.read_bytes()


def _wait_for(folder: Path, pattern: str, process: subprocess.Popen) -> None:
    limit = time.monotonic() + 60
    while not list(folder.glob(pattern)):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < limit, "no checkpoint within a minute"
        os.sched_yield()


def test_text_without_a_known_word_is_absent_with_a_warning(tmp_path):
    encoder, present, texts = TfidfEncoder(TfidfParams(dim=0)), np.array([True, True, False]), ["sea song", "tide"]
    with pytest.warns(
        RuntimeWarning, match="words: 1 of 2 tracks have an input without a known word and count as absent: 'b'"
    ):
        made = encode(
            encoder,
            FieldValues("words", ["a", "b", "c"], present, texts),
            cache=tmp_path,
            fit_on=FitOn(tracks=np.array([True, False, False])),
        )
    assert made.present.tolist() == [False, True, False, False] and not made.matrix[2].any()


def test_encoding_has_its_seconds_and_a_cached_one_those_of_the_first(tmp_path):
    encoder = FeaturesVaeEncoder(FeaturesVaeParams(latent=2, hidden=[4], epochs=3))
    field = FieldValues("audio", IDS, np.ones(4, bool), np.eye(4, dtype=np.float32))
    first = encode(encoder, field, cache=tmp_path).cost
    assert first is not None and not first.cached
    assert first.fit_seconds >= sum(epoch["seconds"] for epoch in encoder.curve) - 1e-3 and first.encode_seconds >= 0
    again = FeaturesVaeEncoder(FeaturesVaeParams(latent=2, hidden=[4], epochs=3))
    second = encode(again, field, cache=tmp_path).cost
    assert second is not None and second.cached
    assert (second.fit_seconds, second.encode_seconds) == (first.fit_seconds, first.encode_seconds)
    assert [epoch["epoch"] for epoch in again.curve] == [1, 2, 3] and again.curve == encoder.curve


def test_cached_encoding_without_seconds_has_no_cost(tmp_path):
    field = FieldValues("artist", IDS, PRESENT, ["x", "y", "x"])
    made = encode(CodesEncoder(CodesParams(dim=4)), field, cache=tmp_path)
    assert made.cost is not None and made.cost.fit_seconds == 0
    (seconds,) = tmp_path.glob("*.seconds.json")
    seconds.write_text("{")
    assert encode(CodesEncoder(CodesParams(dim=4)), field, cache=tmp_path).cost is None
