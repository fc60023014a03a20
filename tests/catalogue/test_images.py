from __future__ import annotations

import io

import pytest
from PIL import Image

from toolkit.catalogue import image_check


def encoded(form: str, size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_valid_images_have_no_flaw(form: str) -> None:
    assert image_check.flaw(encoded(form)) is None


@pytest.mark.parametrize("data", [b"", b"<html></html>", b"\x89PNG\r\n\x1a\n"])
def test_files_that_are_not_images_have_a_flaw(data: bytes) -> None:
    assert image_check.flaw(data) == "is not an image"


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_truncated_image_has_a_flaw(form: str) -> None:
    data = encoded(form)

    assert (image_check.flaw(data[: len(data) // 2]) or "").startswith("is a damaged image")


def test_image_with_too_many_pixels_has_a_flaw_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_check, "MAX_PIXELS", 1199)

    assert image_check.flaw(encoded("PNG")) == "image of 40 x 30 pixels exceeds 1,199"
