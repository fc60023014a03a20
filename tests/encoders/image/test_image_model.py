"""Tests of preparation, embeddings and errors of pretrained image models."""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from segue.checks.check_encoder import check_encoder
from tests.encoders.conftest import picture
from tests.encoders.image.picture_models import DIMS, FAMILIES, network, processor, saved
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.encoders.image import pretrained_images
from toolkit.encoders.image.image_model import ImageModelEncoder, ImageModelParams
from toolkit.encoders.image.pretrained_images import Preparation
from toolkit.errors import InputError, MissingPackage


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    return tmp_path_factory.mktemp("picture-models")


def shaped(width: int, height: int, form: str = "PNG", mode: str = "RGB") -> bytes:
    noise = np.random.default_rng(width).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).convert(mode).save(out, form)
    return out.getvalue()


SHAPES = [shaped(50, 50), shaped(90, 41), shaped(37, 120), shaped(20, 20), shaped(33, 64)]


def of(folder, **params) -> ImageModelEncoder:
    return ImageModelEncoder(ImageModelParams(model=str(folder), **{"bf16": "off", **params}))


@pytest.mark.parametrize("family", FAMILIES)
def test_image_model_passes_check_encoder(family, models, pictures):
    check_encoder(ImageModelEncoder, pictures, {"model": str(saved(family, models)), "bf16": "off", "batch": 4})


@pytest.mark.parametrize("family", FAMILIES)
def test_image_preparation_equals_transformers_processor(family, models):
    """The model's own processor gives the same pixels for pictures of several shapes."""
    prepared, peer = Preparation.read(saved(family, models)), processor(family)
    for image in SHAPES:
        found = prepared.batch([image])[0]
        expected = peer(Image.open(io.BytesIO(image)).convert("RGB"), return_tensors="np")["pixel_values"][0]
        assert found.shape == expected.shape and found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_image_embedding_equals_transformers_output(family, models):
    """The expected embedding is computed with transformers alone, one picture at a time."""
    made, peer = network(family), processor(family)
    found = of(saved(family, models)).transform(SHAPES)
    assert found.shape == (len(SHAPES), DIMS[family])
    for row, image in zip(found, SHAPES, strict=True):
        pixels = torch.from_numpy(
            peer(Image.open(io.BytesIO(image)).convert("RGB"), return_tensors="np")["pixel_values"]
        )
        with torch.inference_mode():
            if family == "clip":
                vision = made.vision_model(pixel_values=pixels)
                wanted = made.visual_projection(vision.pooler_output)[0]
            elif family == "vit":
                wanted = made(pixel_values=pixels).last_hidden_state[0, 0]
            else:
                wanted = made(pixel_values=pixels).last_hidden_state.mean(dim=(2, 3))[0]
        np.testing.assert_allclose(row, wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "config",
    [
        {"feature_extractor_type": "ViTFeatureExtractor", "size": 32, "resample": 2},
        {
            "feature_extractor_type": "CLIPFeatureExtractor",
            "size": 32,
            "crop_size": 32,
            "do_center_crop": True,
            "resample": 3,
        },
        {"feature_extractor_type": "ConvNextFeatureExtractor", "size": 32, "crop_pct": 0.875, "resample": 3},
        {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}, "resample": 3},
        {
            "image_processor_type": "ViTImageProcessor",
            "size": {"height": 20, "width": 30},
            "do_normalize": False,
            "do_rescale": False,
        },
    ],
)
def test_old_preprocessor_config_gives_the_same_preparation(config):
    """Old files give sizes as plain numbers, and the expected values use the current format."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    common = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    kind = next(iter(config.values()))
    today = {key: value for key, value in config.items() if not key.endswith("_type")} | common
    size = config["size"]
    if kind.startswith("ViT"):
        today["size"] = {"height": size, "width": size} if isinstance(size, int) else size
        peer = ViTImageProcessorPil(**today)
    elif kind.startswith("CLIP"):
        peer = CLIPImageProcessorPil(
            **today | {"size": {"shortest_edge": size}, "crop_size": {"height": 32, "width": 32}}
        )
    else:
        peer = ConvNextImageProcessorPil(
            **today | {"size": size if isinstance(size, dict) else {"shortest_edge": size}}
        )
    prepared = Preparation.of(config | common)
    for image in SHAPES[:3]:
        expected = peer(Image.open(io.BytesIO(image)), return_tensors="np")["pixel_values"][0]
        assert prepared.size == expected.shape[1:]
        np.testing.assert_allclose(prepared.batch([image])[0], expected, atol=2e-5)


def test_image_model_encodes_grey_cmyk_and_animated_pictures(models):
    encoder = of(saved("vit", models))
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "lime")]
    moving, still = io.BytesIO(), io.BytesIO()
    frames[0].save(moving, "GIF", save_all=True, append_images=frames[1:])
    frames[0].save(still, "PNG")
    grey, colour = shaped(40, 40, mode="L"), io.BytesIO()
    Image.open(io.BytesIO(grey)).convert("RGB").save(colour, "PNG")
    rows = encoder.transform(
        [moving.getvalue(), still.getvalue(), grey, colour.getvalue(), shaped(40, 40, "JPEG", "CMYK")]
    )
    assert np.array_equal(rows[0], rows[1]) and np.array_equal(rows[2], rows[3]) and np.isfinite(rows).all()
    with pytest.raises(BadInput, match="damaged") as caught:
        of(saved("vit", models), batch=2).transform([picture(0), picture(1), picture(2), picture(3)[:90]])
    assert caught.value.index == 3


def test_reduced_jpeg_decoding_nearly_keeps_the_embedding(models):
    encoder = of(saved("clip", models))
    large = Image.open(io.BytesIO(picture(1, side=1600))).convert("RGB")
    jpeg, png = io.BytesIO(), io.BytesIO()
    large.save(jpeg, "JPEG", quality=95)
    large.save(png, "PNG")
    a, b = encoder.transform([jpeg.getvalue(), png.getvalue()])
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999


def test_mean_pooling_and_normalise_give_expected_rows(models):
    folder, made = saved("vit", models), network("vit")
    prepared = Preparation.read(folder)
    with torch.inference_mode():
        wanted = (
            made(pixel_values=torch.from_numpy(prepared.batch(SHAPES))).last_hidden_state[:, 1:].mean(dim=1).numpy()
        )
    np.testing.assert_allclose(of(folder, pool="mean").transform(SHAPES), wanted, atol=1e-5)
    unit = of(folder, pool="mean", normalise=True).transform(SHAPES)
    np.testing.assert_allclose(unit, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-5)


def test_bf16_auto_requires_a_high_cosine_similarity(models, monkeypatch):
    folder = saved("clip", models)
    half, full = of(folder, bf16="on"), of(folder)
    a, b = half.transform(SHAPES), full.transform(SHAPES)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert half.bf16 and not np.array_equal(a, b) and cosine.min() > 0.99
    assert half.fingerprint() != full.fingerprint()
    monkeypatch.setattr(ImageModelEncoder, "_wants_bf16", lambda self: True)
    monkeypatch.setattr(ImageModelEncoder, "_probe", lambda self: 0.9989)
    assert not of(folder, bf16="auto").bf16


def test_invalid_image_model_raises_one_line_error(models, tmp_path):
    with pytest.raises(
        InputError, match="is not a folder or an installed model package.*preprocessor_config.json"
    ) as caught:
        of("no/such-model-here/at-all").transform(SHAPES)
    assert "\n" not in str(caught.value)
    network("vit").save_pretrained(tmp_path / "bare")
    with pytest.raises(InputError, match=r"preprocessor_config\.json must describe how pictures are prepared"):
        of(tmp_path / "bare").transform(SHAPES)
    processor("vit").save_pretrained(tmp_path / "bare")
    from safetensors.torch import load_file, save_file

    path = tmp_path / "bare" / "model.safetensors"
    tensors = load_file(path)
    save_file({name: value for name, value in tensors.items() if "layernorm" not in name}, path, {"format": "pt"})
    with pytest.raises(InputError, match=r"must have all weights but layernorm"):
        of(tmp_path / "bare").transform(SHAPES)
    path.write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be loaded as a picture model"):
        of(tmp_path / "bare").transform(SHAPES)


def test_image_model_dim_is_known_without_weights(models):
    for family in FAMILIES:
        assert pretrained_images.width(saved(family, models)) == DIMS[family]


def test_dim_of_an_unknown_image_model_is_measured(models, tmp_path):
    from transformers import Swinv2Config, Swinv2Model

    torch.manual_seed(0)
    Swinv2Model(
        Swinv2Config(image_size=32, patch_size=4, embed_dim=8, depths=[1, 1], num_heads=[2, 2], window_size=4)
    ).save_pretrained(tmp_path)
    processor("vit").save_pretrained(tmp_path)
    encoder = of(tmp_path, pool="mean")
    assert encoder.transform(SHAPES).shape == (len(SHAPES), encoder.dim) == (len(SHAPES), 16)


def test_image_model_licence_depends_on_the_model(models):
    assert ImageModelEncoder().licence() == "Apache-2.0 (microsoft/resnet-50)"
    assert "not known here" in of("their/model").licence()
    assert json.loads((saved("vit", models) / "config.json").read_text())["model_type"] == "vit"


@pytest.mark.parametrize(
    ("params", "rule"),
    [
        (
            {"weights": "DEFAULT"},
            "weights='DEFAULT' can be set only for a torchvision model, such as `torchvision:resnet50`: remove weights",
        ),
        ({"transforms": "DEFAULT"}, "transforms='DEFAULT' can be set only for a torchvision model"),
        ({"model": "torchvision:resnet50", "pool": "mean"}, "pool=mean can be set only for a transformers model"),
    ],
)
def test_keys_for_another_kind_of_image_model_raise_value_error(params, rule):
    with pytest.raises(ValueError, match=rule):
        ImageModelParams(**params)


def test_missing_torchvision_raises_error_with_its_extra(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(MissingPackage, match=r"^package torchvision is not installed: pip install 'segue\[image\]'$"):
        of("torchvision:resnet50").check_files()


def test_torchvision_for_another_torch_raises_one_line_error(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        InputError,
        match=r"torchvision does not match torch .* \(operator torchvision::nms does not exist\): install matching",
    ):
        of("torchvision:resnet50").transform(SHAPES)
