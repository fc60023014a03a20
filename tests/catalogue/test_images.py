from __future__ import annotations

import io

import pytest
from PIL import Image

from toolkit.catalogue import images


def encoded(form: str, size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 90).convert("RGB").save(out, form)
    return out.getvalue()


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_images_pass(form: str) -> None:
    assert images.flaw(encoded(form)) is None


@pytest.mark.parametrize("data", [b"", b"<html></html>", b"\x89PNG\r\n\x1a\n"])
def test_other_files_do_not(data: bytes) -> None:
    assert images.flaw(data) == "is not an image"


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_truncated_image(form: str) -> None:
    data = encoded(form)

    assert (images.flaw(data[: len(data) // 2]) or "").startswith("is a damaged image")


def test_too_many_pixels_are_refused_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 1199)

    assert images.flaw(encoded("PNG")) == "image of 40 x 30 pixels exceeds 1,199"
