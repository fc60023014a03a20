"""Tests of decoding pictures and of the two convolutional image encoders."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.encoders.conftest import picture
from toolkit.catalogue import image_check
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.encoders.image.conv_image_encoder import ImageParams
from toolkit.encoders.image.image_ae import ImageAeEncoder
from toolkit.encoders.image.image_vae import ImageVaeEncoder, ImageVaeParams
from toolkit.encoders.image.pixels import decoded, middle_square, pixels, save_pairs
from toolkit.errors import InputError

SMALL = {"size": 32, "patch": 2, "channels": [8, 16], "latent": 8}


def encoded(image: Image.Image, form: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def flat(mode: str, colour, form: str = "PNG", **options) -> bytes:
    return encoded(Image.new(mode, (20, 20), colour), form, **options)


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (flat("RGB", (10, 200, 30)), (10, 200, 30)),
        (flat("L", 77), (77, 77, 77)),
        (flat("1", 1), (255, 255, 255)),
        (flat("RGBA", (200, 0, 0, 0)), (255, 255, 255)),
        (flat("RGBA", (200, 0, 0, 255)), (200, 0, 0)),
        (flat("RGBA", (0, 0, 0, 51)), (204, 204, 204)),
        (flat("LA", (40, 0)), (255, 255, 255)),
        (flat("P", 3), tuple(Image.new("P", (1, 1), 3).convert("RGB").getpixel((0, 0)))),
        (flat("P", 0, transparency=0), (255, 255, 255)),
        (encoded(Image.fromarray(np.full((20, 20), 32896, np.uint16)), "PNG"), (128, 128, 128)),
        (flat("CMYK", (0, 0, 0, 0), "JPEG"), (255, 255, 255)),
        (flat("RGB", (10, 200, 30), "BMP"), (10, 200, 30)),
    ],
)
def test_every_colour_model_is_converted_to_rgb(image, colour):
    found = pixels(image, size=8)
    assert found.shape == (8, 8, 3)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, np.broadcast_to(colour, (8, 8, 3)))


@pytest.mark.parametrize("turned", [False, True])
def test_pictures_are_cropped_to_the_middle_square(turned):
    thirds = np.zeros((10, 30, 3), np.uint8)
    for third in range(3):
        thirds[:, 10 * third : 10 * third + 10, third] = 255
    image = Image.fromarray(np.ascontiguousarray(thirds.transpose(1, 0, 2)) if turned else thirds)
    np.testing.assert_array_equal(pixels(encoded(image, "PNG"), size=8), np.broadcast_to((0, 255, 0), (8, 8, 3)))


@pytest.mark.parametrize(
    ("sides", "box"),
    [((30, 10), (10, 0, 20, 10)), ((4, 7), (0, 1, 4, 5)), ((5, 5), (0, 0, 5, 5)), ((1, 9), (0, 4, 1, 5))],
)
def test_middle_square_has_the_shorter_side_and_equal_margins(sides, box):
    assert middle_square(*sides) == box


def test_decoding_an_animation_returns_the_first_frame():
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime")]
    found = pixels(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), size=4)
    np.testing.assert_array_equal(found, np.broadcast_to((255, 0, 0), (4, 4, 3)))


def test_reduced_jpeg_decoding_keeps_the_colours():
    found = pixels(flat("RGB", (10, 200, 30), "JPEG"), size=4).astype(int)
    assert np.abs(found - [10, 200, 30]).max() <= 3
    large = pixels(picture(1, side=1024, form="JPEG"), size=32).astype(int)
    exact = pixels(picture(1, side=1024), size=32).astype(int)
    assert np.abs(large - exact).mean() < 4


def test_decoding_stretches_pictures_to_a_square():
    wide = Image.new("RGB", (40, 10), "red")
    wide.paste("blue", (20, 0, 40, 10))
    found = pixels(encoded(wide, "PNG"), size=8)
    assert found[4, 0].tolist() == [255, 0, 0]
    assert found[4, 7].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("image", "why"),
    [
        (b"", "has a file that is not a picture in .* .0 bytes"),
        (b"<html></html>", "not a picture in .* .13 bytes that begin b'<html></'"),
        (picture(0)[:90], "damaged"),
    ],
)
def test_file_that_is_not_a_picture_raises_bad_input_with_its_index(image, why):
    with pytest.raises(BadInput, match=why) as caught:
        decoded([picture(0), picture(1), image], size=8)
    assert caught.value.index == 2


def test_too_many_pixels_raise_bad_input_before_decoding(monkeypatch):
    monkeypatch.setattr(image_check, "MAX_MEMORY", 4 * 50 * 50 - 1)
    with pytest.raises(BadInput, match="has a file that has 50 x 50 pixels, .* above the limit"):
        pixels(picture(0), size=8)


def test_pixels_in_a_file_equal_pixels_in_memory(tmp_path, pictures):
    np.testing.assert_array_equal(decoded(pictures, size=16, workdir=tmp_path / "w"), decoded(pictures, size=16))
    assert not list((tmp_path / "w").iterdir())


def test_save_pairs_draws_originals_next_to_reconstructions(tmp_path):
    originals, back = np.full((3, 8, 8, 3), 10, np.uint8), np.full((3, 8, 8, 3), 90, np.uint8)
    save_pairs(originals, back, tmp_path / "grid.png", columns=2, gap=1)
    sheet = np.asarray(Image.open(tmp_path / "grid.png"))
    assert sheet.shape == (2 * 10, 2 * 18, 3)
    assert (sheet[1:9, 1:9] == 10).all()
    assert (sheet[1:9, 9:17] == 90).all()
    assert (sheet[11:19, 1:9] == 10).all()
    assert (sheet[11:, 18:] == 255).all()


@pytest.mark.parametrize("cls", [ImageAeEncoder, ImageVaeEncoder])
def test_image_reconstructions_are_close_to_the_pictures(cls, pictures, tmp_path):
    params = cls.Params(**SMALL, epochs=60, batch=4, lr=5e-3, bf16="off")
    encoder = cls(params).fit(pictures)
    originals = decoded(pictures, size=32).astype(float)
    error = ((encoder.reconstruct(pictures) - originals) ** 2).mean()
    assert error < 0.5 * ((originals - originals.mean(axis=0)) ** 2).mean()
    path = encoder.reconstructions([*pictures, pictures[0]], tmp_path / "grid.png", count=4)
    assert Image.open(path).size == (4 * (64 + 8), 32 + 8)


def test_training_in_bf16_gives_a_similar_loss(pictures):
    curves = [
        ImageVaeEncoder(ImageVaeParams(**SMALL, epochs=8, batch=4, bf16=bf16)).fit(pictures).curve
        for bf16 in ("on", "off")
    ]
    assert curves[0][-1]["loss"] == pytest.approx(curves[1][-1]["loss"], rel=0.05)


def test_resuming_a_killed_image_fit_gives_identical_vectors(pictures, tmp_path):
    def fitted(epochs: int, **options) -> np.ndarray:
        return (
            ImageAeEncoder(ImageParams(**SMALL, epochs=epochs, batch=4, bf16="off"))
            .fit(pictures, **options)
            .transform(pictures)
        )

    def stop(done, total, what):
        if what.startswith("fit") and done == 8:
            raise InterruptedError

    whole = fitted(4)
    with pytest.raises(InterruptedError):
        fitted(4, workdir=tmp_path, progress=stop)
    np.testing.assert_array_equal(fitted(4, workdir=tmp_path), whole)


def test_damaged_picture_after_the_first_block_raises_with_its_index(pictures):
    encoder = ImageAeEncoder(ImageParams(**SMALL, epochs=1, batch=4)).fit(pictures)
    with pytest.raises(BadInput) as caught:
        encoder.transform([pictures[0]] * 70 + [b"x"])
    assert caught.value.index == 70


def test_fit_without_pictures_raises_input_error():
    with pytest.raises(InputError, match="got 0 pictures but requires at least 1: pass pictures to fit"):
        ImageAeEncoder(ImageParams(**SMALL)).fit([])
    with pytest.raises(InputError, match="got 0 pictures but requires at least 1"):
        ImageAeEncoder(ImageParams(**SMALL)).reconstructions([], "x.png")


def test_image_fit_accepts_a_single_picture(pictures):
    encoder = ImageVaeEncoder(ImageVaeParams(**SMALL, epochs=2)).fit(pictures[:1])
    assert encoder.transform(pictures[:1]).shape == (1, 8)


@pytest.mark.parametrize(
    ("params", "dim"),
    [({}, 128), ({"latent": 64, "output": "mu+sigma"}, 128), ({"latent": 256}, 256), ({"latent": 512}, 512)],
)
def test_image_autoencoder_variants_have_the_published_sizes(params, dim, pictures):
    encoder = ImageVaeEncoder(
        ImageVaeParams(**{"size": 32, "patch": 4, "channels": [8, 16], "epochs": 1, "bf16": "off", **params})
    )
    rows = encoder.fit(pictures).transform(pictures)
    assert rows.shape == (len(pictures), dim)
    if "output" in params:  # mean and deviation side by side
        means = ImageVaeEncoder(encoder.params.model_copy(update={"output": "mu"})).fit(pictures).transform(pictures)
        np.testing.assert_array_equal(rows[:, :64], means)
        assert (rows[:, 64:] > 0).all()
    assert ImageAeEncoder().dim == 128
