"""Damaged pictures in every accepted format, and in some that are not, through the check and the decoder."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from PIL import Image

from tests.fuzz.attempts import attempt
from tests.fuzz.mutations import mutations
from toolkit.catalogue import image_check
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.encoders.image.pixels import pixels, rgb

pytestmark = pytest.mark.fuzz


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def samples() -> dict[str, bytes]:
    """Return small pictures in many formats and colour models."""
    noise = Image.effect_noise((48, 36), 80)
    colour = Image.merge("RGB", [noise, noise.rotate(90), noise.rotate(180)])
    clear = colour.copy()
    clear.putalpha(noise)
    frames = [colour.rotate(30), colour.rotate(60)]
    exif = Image.Exif()
    exif[0x010E] = "a cover"
    found = {
        "rgb.png": _saved(colour, "PNG"),
        "rgba.png": _saved(clear, "PNG"),
        "grey.png": _saved(noise, "PNG"),
        "deep.png": _saved(noise.convert("I;16"), "PNG"),
        "palette.png": _saved(colour.convert("P"), "PNG", transparency=3),
        "bits.png": _saved(noise.convert("1"), "PNG"),
        "anim.png": _saved(colour, "PNG", save_all=True, append_images=frames),
        "rgb.jpg": _saved(colour, "JPEG", exif=exif),
        "progressive.jpg": _saved(colour, "JPEG", progressive=True, icc_profile=bytes(300)),
        "cmyk.jpg": _saved(colour.convert("CMYK"), "JPEG"),
        "pair.jpg": _saved(colour, "MPO", save_all=True, append_images=frames),
        "lossy.webp": _saved(colour, "WEBP", exif=exif),
        "lossless.webp": _saved(clear, "WEBP", lossless=True),
        "anim.webp": _saved(clear, "WEBP", save_all=True, append_images=frames),
        "grey.gif": _saved(noise, "GIF"),
        "anim.gif": _saved(colour, "GIF", save_all=True, append_images=frames, transparency=0, disposal=2),
        "rgb.bmp": _saved(colour, "BMP"),
        "palette.bmp": _saved(colour.convert("P"), "BMP"),
    }
    Image.init()
    others = {"EPS": colour, "TIFF": colour, "DDS": clear, "AVIF": colour, "ICNS": clear, "PCX": colour, "TGA": clear}
    return found | {f"x.{form}": _saved(image, form) for form, image in others.items() if form in Image.SAVE}


def _open(data: bytes) -> None:
    flaw = image_check.flaw(data)
    if flaw is not None:
        assert "\n" not in flaw and flaw
    try:
        found = rgb(data, least=16)
    except BadInput as fault:
        assert flaw is not None, f"accepted by the check, but {fault}"
        raise
    assert flaw is None, f"decoded, but the check found that it {flaw}"
    assert found.mode == "RGB" and found.width * found.height * 4 <= image_check.MAX_MEMORY
    assert pixels(data, size=16).shape == (16, 16, 3)


def test_pictures_damaged_pictures_are_decoded_or_refused_in_one_line(tries: Callable[[int], int]) -> None:
    number = tries(400)
    extra = (b"\xff\xda", b"\xff\xd9", b"IEND", b"fcTL", b"ANMF", b"\x00\x00\xff\xff", b"\x00\xff\x00\x00")

    result = attempt(_open, mutations(samples(), number, extra=extra), megabytes=400)

    print(result)
    assert not result.faults
    assert result.counts.total() == number
    assert result.counts["passed"] > number / 10 and result.counts["refused"] > number / 10


def test_pictures_undamaged_samples_pass_in_accepted_formats_alone() -> None:
    outcomes = {name: image_check.flaw(data) is None for name, data in samples().items()}

    assert outcomes == {name: not name.startswith("x.") for name in outcomes}
