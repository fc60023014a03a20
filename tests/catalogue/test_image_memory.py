"""Memory for opening pictures, measured in a process of its own."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from toolkit.catalogue.image_check import MAX_MEMORY

MEASURE = """
import sys
from toolkit.catalogue.image_check import UnusableImage, read_image

def kilobytes(name):
    with open("/proc/self/status") as status:
        return int(status.read().split(name + ":")[1].split()[0])

for path in sys.argv[1:3]:  # every format is loaded before the measurement
    data = open(path, "rb").read()
    read_image(data, least=1)
before = kilobytes("VmRSS")
for path in sys.argv[3:]:
    data = open(path, "rb").read()
    try:
        outcome = "x".join(map(str, read_image(data, least=448).size))
    except UnusableImage as error:
        outcome = "refused" if "above the limit" in str(error) or "bomb" in str(error) else str(error)
    del data
    print(path.rsplit("/", 1)[1], outcome)
print((kilobytes("VmHWM") - before) / 1000)
"""


def outcomes(folder: Path, **pictures: bytes) -> tuple[dict[str, str], float]:
    """Return the size of each decoded picture, or `refused`, and the peak memory in MB."""
    for form in ("PNG", "WEBP"):
        (folder / form).write_bytes(saved(Image.new("RGB", (8, 8)), form))
    for name, data in pictures.items():
        (folder / name).write_bytes(data)
    paths = [str(folder / name) for name in ("PNG", "WEBP", *pictures)]
    result = subprocess.run([sys.executable, "-c", MEASURE, *paths], capture_output=True, text=True, check=True)
    *lines, peak = result.stdout.splitlines()
    return dict(tuple(line.split(" ", 1)) for line in lines), float(peak)


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def flat(mode: str, side: int, form: str = "PNG", **options: object) -> bytes:
    return saved(Image.new(mode, (side, side)), form, **options)


pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")


def test_covers_of_5000_pixels_are_decoded_in_bounded_memory(tmp_path: Path) -> None:
    sizes, peak = outcomes(
        tmp_path,
        rgb=flat("RGB", 5000),
        rgba=flat("RGBA", 5000),
        palette=flat("P", 5000, transparency=0),
        grey=flat("L", 5000),
        deep=flat("I;16", 5000),
        gif=flat("P", 5000, "GIF", transparency=0),
        jpeg=flat("RGB", 5000, "JPEG"),
        progressive=flat("RGB", 5000, "JPEG", progressive=True, subsampling=0),
        cmyk=flat("CMYK", 5000, "JPEG"),
        webp=flat("RGBA", 3500, "WEBP", method=0),
    )

    assert sizes == {
        **dict.fromkeys(("rgb", "rgba", "palette", "grey", "deep", "gif"), "5000x5000"),
        **dict.fromkeys(("jpeg", "progressive", "cmyk"), "625x625"),
        "webp": "3500x3500",
    }
    assert 200 < peak < (MAX_MEMORY + 20e6) / 1e6


def test_pictures_that_take_more_memory_are_refused_before_they_take_it(tmp_path: Path) -> None:
    results, peak = outcomes(
        tmp_path,
        bits=flat("1", 20_000),
        bits_below_pillows_limit=flat("1", 13_000),
        rgba=flat("RGBA", 8000),
        deep=flat("I;16", 8000),
        webp=flat("RGB", 6000, "WEBP", method=0),
        gif=flat("P", 8000, "GIF"),
        progressive=flat("RGB", 8000, "JPEG", progressive=True, subsampling=0),
    )

    assert set(results.values()) == {"refused"}, results
    assert peak < 60
