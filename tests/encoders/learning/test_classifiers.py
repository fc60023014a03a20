"""Tests of the image and text classifiers, with unseen labels and resuming after a kill."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from segue.checks.check_encoder import check_encoder
from tests.encoders.image.picture_models import saved
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.encoders.image.image_classifier import ImageClassifierEncoder, ImageClassifierParams
from toolkit.encoders.text.text_classifier import TextClassifierEncoder, TextClassifierParams
from toolkit.errors import InputError

SCRATCH = {"size": 32, "patch": 2, "channels": [4, 8], "dim": 6, "epochs": 2, "batch": 4, "bf16": "off"}
TUNED = {"dim": 6, "epochs": 2, "batch": 4, "bf16": "off", "lr": 1e-3}
TEXT = {"dim": 6, "epochs": 1, "batch": 4, "bf16": "off", "max_length": 12}


def labels(n: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 2, (n, 3)).astype(np.float32)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tuned-models")


def test_image_classifier_from_scratch_passes_check_encoder(pictures):
    check_encoder(ImageClassifierEncoder, pictures, SCRATCH, targets=labels(len(pictures)))


@pytest.mark.parametrize("family", ["resnet", "vit", "clip"])
def test_fine_tuned_image_classifier_passes_check_encoder(family, folder, pictures):
    check_encoder(
        ImageClassifierEncoder, pictures, TUNED | {"model": str(saved(family, folder))}, targets=labels(len(pictures))
    )


@pytest.mark.slow
def test_text_classifier_passes_check_encoder(tags):
    check_encoder(TextClassifierEncoder, tags, TEXT, targets=labels(len(tags)))


def covers(n: int, seed: int) -> tuple[list[bytes], np.ndarray]:
    """Return pictures with vertical or horizontal stripes, and the direction as label."""
    rng, made, which = np.random.default_rng(seed), [], np.arange(n) % 2
    for upright in which:
        wave = np.sin(np.arange(32) * rng.uniform(0.7, 1.4) + rng.uniform(0, 6))
        stripes = np.broadcast_to(wave if upright else wave[:, None], (32, 32))
        pixels = 127 + 60 * stripes[..., None] * rng.uniform(0.4, 1, 3) + rng.normal(0, 25, (32, 32, 3))
        out = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(out, "PNG")
        made.append(out.getvalue())
    return made, np.eye(2, dtype=np.float32)[which]


def probed(encoder, seen, labels, unseen, expected) -> float:
    """Return the share of unseen inputs whose nearest class mean is the correct class."""
    rows, others = encoder.transform(seen), encoder.transform(unseen)
    means = np.stack([rows[labels[:, column] > 0].mean(axis=0) for column in range(labels.shape[1])])
    nearest = ((others[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    return float((nearest == expected.argmax(axis=1)).mean())


def test_image_classifier_predicts_labels_of_unseen_pictures(folder):
    seen, labels = covers(96, 0)
    unseen, expected = covers(60, 1)
    encoder = ImageClassifierEncoder(
        ImageClassifierParams(**SCRATCH | {"epochs": 25, "batch": 16, "channels": [8, 16], "lr": 5e-3})
    )
    encoder.fit(seen, labels)
    assert probed(encoder, seen, labels, unseen, expected) >= 0.9
    assert encoder.curve[-1]["loss"] < 0.5 * encoder.curve[0]["loss"]
    wrong = ImageClassifierEncoder(encoder.params).fit(seen, labels[np.random.default_rng(0).permutation(96)])
    assert probed(wrong, seen, labels, unseen, expected) < 0.8
    tuned = ImageClassifierParams(
        **TUNED | {"model": str(saved("resnet", folder)), "epochs": 12, "batch": 16, "lr": 5e-3}
    )
    assert probed(ImageClassifierEncoder(tuned).fit(seen, labels), seen, labels, unseen, expected) >= 0.9


def verses(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    rng, which = np.random.default_rng(seed), np.arange(n) % 2
    words = [
        ["guitar", "amplifier", "distortion", "drums", "riff"],
        ["saxophone", "swing", "trumpet", "improvisation", "bebop"],
    ]
    filler = ["tonight", "we", "go", "home", "and", "the", "road", "is", "long", "again"]
    made = [" ".join(rng.permutation([*rng.choice(filler, 6), *rng.choice(words[kind], 2)])) for kind in which]
    return made, np.eye(2, dtype=np.float32)[which]


@pytest.mark.slow
def test_text_classifier_predicts_labels_of_unseen_texts():
    seen, labels = verses(40, 0)
    unseen, expected = verses(30, 1)
    encoder = TextClassifierEncoder(TextClassifierParams(dim=8, epochs=3, batch=8, bf16="off", max_length=24)).fit(
        seen, labels
    )
    assert encoder.curve[-1]["loss"] < 0.7 * encoder.curve[0]["loss"]
    assert probed(encoder, seen, labels, unseen, expected) >= 0.9


@pytest.mark.parametrize("model", [None, "vit"])
def test_resuming_a_killed_classifier_fit_gives_identical_vectors(model, folder, pictures, tmp_path):
    settings = SCRATCH if model is None else TUNED | {"model": str(saved(model, folder))}
    params, expected = ImageClassifierParams(**settings | {"epochs": 4, "dropout": 0.5}), labels(len(pictures))

    def stop(done: int, total: int, what: str) -> None:
        if what.startswith("fit") and done == 8:
            raise InterruptedError

    whole = ImageClassifierEncoder(params).fit(pictures, expected)
    with pytest.raises(InterruptedError):
        ImageClassifierEncoder(params).fit(pictures, expected, workdir=tmp_path, progress=stop)
    resumed = ImageClassifierEncoder(params).fit(pictures, expected, workdir=tmp_path)
    assert [row["loss"] for row in resumed.curve] == [row["loss"] for row in whole.curve]
    np.testing.assert_array_equal(resumed.transform(pictures), whole.transform(pictures))


def test_fine_tuning_changes_the_weights_of_the_backbone(folder, pictures):
    import torch

    params = ImageClassifierParams(**TUNED | {"model": str(saved("resnet", folder))})
    still = ImageClassifierEncoder(params.model_copy(update={"lr": 1e-12})).fit(pictures, labels(len(pictures)))
    moved = ImageClassifierEncoder(params).fit(pictures, labels(len(pictures)))
    before, after = (encoder.model.trunk[0].network.state_dict() for encoder in (still, moved))
    changed = {name for name, value in after.items() if not torch.allclose(value, before[name], atol=1e-7)}
    assert any("convolution" in name for name in changed)
    assert not any("running" in name for name in changed)  # batch statistics stay as they were published


def test_invalid_labels_raise_input_error(pictures):
    encoder = ImageClassifierEncoder(ImageClassifierParams(**SCRATCH))
    with pytest.raises(InputError, match="requires targets because it is supervised"):
        encoder.fit(pictures)
    with pytest.raises(InputError, match=r"targets of shape \(3, 3\) must be \[9, t\] with t >= 1: pass one row"):
        encoder.fit(pictures, labels(3))
    with pytest.raises(InputError, match="targets contain 0.5 but must be labels 0 or 1"):
        encoder.fit(pictures, labels(len(pictures)) / 2)


def test_damaged_picture_after_the_first_batch_raises_with_its_index(pictures):
    encoder = ImageClassifierEncoder(ImageClassifierParams(**SCRATCH)).fit(pictures, labels(len(pictures)))
    with pytest.raises(BadInput) as caught:
        encoder.transform([*pictures[:6], b"x"])
    assert caught.value.index == 6


def test_text_classifier_limits_max_length_and_returns_a_licence():
    with pytest.raises(InputError, match="max_length=513 must be <= 512"):
        TextClassifierEncoder(TextClassifierParams(max_length=513)).fit(["one", "two"], np.eye(2, dtype=np.float32))
    assert TextClassifierEncoder().licence() == "Apache-2.0 (all-MiniLM-L6-v2)"
    assert ImageClassifierEncoder().licence() == ""
