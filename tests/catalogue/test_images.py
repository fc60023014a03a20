from __future__ import annotations

import io
import os
import re
from pathlib import Path

import pytest
from PIL import Image, ImageFile

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
    assert (image_check.flaw(data) or "").startswith("is not a picture in JPEG, PNG, WEBP, GIF or BMP")


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_truncated_image_has_a_flaw(form: str) -> None:
    data = encoded(form)

    assert (image_check.flaw(data[: len(data) // 2]) or "").startswith("is a damaged image (")


def test_image_with_too_many_pixels_has_a_flaw_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded("PNG")
    monkeypatch.setattr(image_check, "MAX_MEMORY", len(data) + 4 * 1200 - 1)

    assert (image_check.flaw(data) or "").startswith("has 40 x 30 pixels, which take 0 MB in memory, above the limit")


def test_file_of_more_than_64_mb_has_a_flaw() -> None:
    assert image_check.flaw(bytes(image_check.MAX_BYTES + 1)) == "has more than 64 MB: reduce its size"


def test_sides_that_differ_too_much_have_a_flaw() -> None:
    assert image_check.flaw(encoded("PNG", (400, 2))) is None
    assert "has 402 x 2 pixels, but the longer side must be at most 200 times" in (
        image_check.flaw(encoded("PNG", (402, 2))) or ""
    )


@pytest.mark.parametrize("form", ["EPS", "TIFF", "PCX", "PPM", "TGA", "ICO", "DDS", "AVIF", "JPEG2000", "SGI"])
def test_other_formats_of_pillow_are_not_opened(form: str) -> None:
    if form not in Image.SAVE and not Image.init() and form not in Image.SAVE:
        pytest.skip(f"Pillow cannot write {form}")

    assert (image_check.flaw(encoded(form)) or "").startswith("is not a picture in")


def test_postscript_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    (tmp_path / "gs").write_text(f"#!/bin/sh\necho called >> {log}\nexit 1\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    files = {"eps": encoded("EPS"), "ps": b"%!PS-Adobe-3.0\nshowpage\n", "pdf": b"%PDF-1.4\n"}

    assert all(image_check.flaw(data) for data in files.values())
    assert not log.exists()


def test_jpeg_with_too_many_passes_has_a_flaw() -> None:
    data = encoded("JPEG")

    assert "has 502 passes over its pixels" in (image_check.flaw(data + 501 * b"\xff\xda") or "")


@pytest.mark.parametrize("error", [RuntimeError, NotImplementedError, KeyError, ZeroDivisionError, OSError])
def test_every_error_of_a_decoder_is_a_flaw(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error("of a decoder\nwith a second line")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)

    flaw = image_check.flaw(encoded("PNG")) or ""

    assert re.fullmatch(r"is a damaged image \('?of a decoder(\\nwith a second line')?\): replace the file", flaw)


def test_missing_memory_is_not_a_flaw_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)

    with pytest.raises(MemoryError):
        image_check.flaw(encoded("PNG"))


@pytest.mark.parametrize("path", [Path("/dev/zero"), Path("/")])
def test_devices_and_folders_are_not_read(path: Path) -> None:
    with pytest.raises(OSError, match="not a regular file|Is a directory"):
        image_check.read_file(path)
