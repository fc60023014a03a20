"""Tests of `image-model` with torchvision models, against torchvision and with invalid settings."""

from __future__ import annotations

import io
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from segue.checks.check_encoder import check_encoder
from tests.encoders.conftest import picture
from toolkit.encoders.contract.input_faults import BadInput
from toolkit.encoders.image.image_model import ImageModelEncoder, ImageModelParams
from toolkit.errors import InputError, MissingWeights

torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed: make test-image")

models = torchvision.models
DIMS = {"resnet18": 512, "mobilenet_v3_small": 1024, "convnext_tiny": 768, "swin_t": 768, "squeezenet1_1": 512}
COVERS = [picture(0), picture(1, side=300), picture(2, side=97, form="JPEG")]


def network(name: str, **options: object) -> nn.Module:
    torch.manual_seed(3)
    built: nn.Module = models.get_model(name, weights=None, **options).eval()
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after training: statistics that are not 0 and 1
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return built


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a state dict for each model, such as `resnet18.safetensors`."""
    folder = tmp_path_factory.mktemp("torchvision")
    for name in DIMS:
        save_file(network(name).state_dict(), folder / f"{name}.safetensors")
    return folder


def encoder(name: str, weights: Path | str, **params: object) -> ImageModelEncoder:
    given = {"model": f"torchvision:{name}", "weights": str(weights), "bf16": "off", **params}
    return ImageModelEncoder(ImageModelParams.model_validate(given))


def prepared(name: str, images: list[bytes]) -> torch.Tensor:
    """Prepare images with the transforms that torchvision publishes with the weights."""
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    return torch.stack([transforms(Image.open(io.BytesIO(image)).convert("RGB")) for image in images])


@pytest.mark.parametrize("name", DIMS)
def test_torchvision_vector_equals_classifier_input(name: str, saved: Path) -> None:
    """The expected vector is captured by a hook on the classifier of the complete torchvision model."""
    model, caught = network(name), []
    if name == "squeezenet1_1":
        model.features.register_forward_hook(lambda *hook: caught.append(hook[2].mean(dim=(2, 3))))
    else:
        last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
        last.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0].flatten(1)))
    with torch.inference_mode():
        model(prepared(name, COVERS))
    made = encoder(name, saved / f"{name}.safetensors")
    vectors = made.transform(COVERS)
    assert vectors.shape == (len(COVERS), made.dim) == (len(COVERS), DIMS[name])
    np.testing.assert_allclose(vectors, caught[0].numpy(), atol=1e-5)


def test_torchvision_vector_equals_torchvision_feature_extraction(saved: Path) -> None:
    from torchvision.models.feature_extraction import create_feature_extractor

    extractor = create_feature_extractor(network("resnet18"), return_nodes={"flatten": "vectors"})
    with torch.inference_mode():
        expected = extractor(prepared("resnet18", COVERS))["vectors"]
    found = encoder("resnet18", saved / "resnet18.safetensors").transform(COVERS)
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    unit = encoder("resnet18", saved / "resnet18.safetensors", normalise=True, batch=2).transform(COVERS)
    np.testing.assert_allclose(unit, found / np.linalg.norm(found, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "transforms"),
    [
        ("resnet18", "DEFAULT"),
        ("resnet50", "IMAGENET1K_V1"),
        ("resnet50", "IMAGENET1K_V2"),
        ("efficientnet_b0", "DEFAULT"),
    ],
)
def test_torchvision_preparation_equals_the_transforms_of_the_weights(name: str, transforms: str, saved: Path) -> None:
    made = encoder(name, saved / "resnet18.safetensors", transforms=transforms)
    shapes = [picture(4, side=500), picture(5, side=31)]
    for width, height in ((400, 90), (64, 256)):
        out = io.BytesIO()
        Image.open(io.BytesIO(shapes[0])).resize((width, height)).save(out, "PNG")
        shapes.append(out.getvalue())
    published = models.get_model_weights(name)[transforms].transforms()
    for image in shapes:
        expected = published(Image.open(io.BytesIO(image)).convert("RGB")).numpy()
        np.testing.assert_allclose(made._preparation.batch([image])[0], expected, atol=1e-6)


def test_torchvision_encoder_passes_check_encoder(saved: Path, pictures: list[bytes]) -> None:
    params = {
        "model": "torchvision:resnet18",
        "weights": str(saved / "resnet18.safetensors"),
        "bf16": "off",
        "batch": 4,
    }
    check_encoder(ImageModelEncoder, pictures, params)


def test_pth_and_checkpoint_files_are_read(saved: Path, tmp_path: Path) -> None:
    state = network("resnet18").state_dict()
    expected = encoder("resnet18", saved / "resnet18.safetensors").transform(COVERS)
    for number, content in enumerate((state, {"model": state, "epoch": 3}, {"state_dict": state})):
        torch.save(content, tmp_path / f"{number}.pth")
        assert np.array_equal(encoder("resnet18", tmp_path / f"{number}.pth").transform(COVERS), expected)


def test_weights_with_another_number_of_classes_are_read(tmp_path: Path) -> None:
    model = network("resnet18", num_classes=7)
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    found = encoder("resnet18", tmp_path / "mine.pth").transform(COVERS)
    with torch.inference_mode():
        labels = model(prepared("resnet18", COVERS))
        np.testing.assert_allclose(model.fc(torch.from_numpy(found)), labels, atol=1e-4)


def test_published_densenet_layer_names_are_read(tmp_path: Path) -> None:
    model = network("densenet121")
    old = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", key): value
        for key, value in model.state_dict().items()
    }
    assert old.keys() != model.state_dict().keys()
    torch.save(old, tmp_path / "old.pth")
    assert encoder("densenet121", tmp_path / "old.pth").transform(COVERS[:1]).shape == (1, 1024)


@pytest.mark.parametrize("weights", ["DEFAULT", "IMAGENET1K_V1"])
def test_published_weights_are_read_from_the_torch_folder(
    weights: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:1")
    made = encoder("resnet18", weights)
    with pytest.raises(
        MissingWeights, match=f"weights='{weights}' of resnet18 must be in .*checkpoints: download https:"
    ):
        made.check_files()
    with pytest.raises(
        MissingWeights, match="cannot be downloaded from https://.*: set weights to the path of a file$"
    ) as caught:
        made.transform(COVERS)
    assert caught.value.parameter == "weights" and "\n" not in str(caught.value)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    name = models.get_model_weights("resnet18")[weights].url.rpartition("/")[2]
    torch.save(network("resnet18").state_dict(), folder / name)
    made = encoder("resnet18", weights)
    made.check_files()
    assert np.array_equal(made.transform(COVERS), encoder("resnet18", saved / "resnet18.safetensors").transform(COVERS))


def test_cache_key_changes_with_weights_file_and_transforms(saved: Path, tmp_path: Path) -> None:
    first = encoder("resnet18", saved / "resnet18.safetensors").fingerprint()
    other = network("resnet18")
    nn.init.zeros_(other.fc.bias)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    assert first == encoder("resnet18", saved / "resnet18.safetensors").fingerprint()
    assert first != encoder("resnet18", tmp_path / "other.safetensors").fingerprint()
    one, two = (
        encoder("resnet50", saved / "resnet18.safetensors", transforms=f"IMAGENET1K_V{version}").fingerprint()
        for version in (1, 2)
    )
    assert one != two


def test_invalid_torchvision_settings_raise_one_line_error(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="'torchvision:resnet19' must be a classification model of torchvision: did you mean"
    ):
        encoder("resnet19", "DEFAULT").transform(COVERS)
    with pytest.raises(
        MissingWeights,
        match=r"'gone.pth' must be a file or published weights of resnet50: set weights to one of DEFAULT, IMAGE",
    ):
        encoder("resnet50", "gone.pth").check_files()
    with pytest.raises(InputError, match="transforms='V9' must be the name of published weights of resnet18"):
        encoder("resnet18", saved / "resnet18.safetensors", transforms="V9").transform(COVERS)
    with pytest.raises(InputError, match="does not match the model "):
        encoder("resnet18", saved / "swin_t.safetensors").transform(COVERS)
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is not a weights file"):
        encoder("resnet18", tmp_path / "broken.safetensors").transform(COVERS)
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(InputError, match="must contain a state dict but contains .*: save model.state_dict"):
        encoder("resnet18", tmp_path / "list.pth").transform(COVERS)


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('run')",))


def test_weights_file_with_code_raises_input_error(tmp_path: Path) -> None:
    torch.save({"fc.weight": Payload()}, tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Payload()))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(InputError, match=f"{name} must contain only tensors") as caught:
            encoder("resnet18", tmp_path / name).transform(COVERS)
        assert "\n" not in str(caught.value)


def test_damaged_or_extreme_picture_raises_bad_input_with_its_index(saved: Path) -> None:
    made = encoder("resnet18", saved / "resnet18.safetensors", batch=2)
    with pytest.raises(BadInput, match="damaged") as caught:
        made.transform([picture(0), picture(1), picture(2), picture(3)[:90]])
    assert caught.value.index == 3
    out = io.BytesIO()
    Image.new("RGB", (900, 2)).save(out, "PNG")
    with pytest.raises(BadInput, match="has 900 x 2 pixels, but the longer side must be at most 200 times"):
        made.transform([out.getvalue()])
