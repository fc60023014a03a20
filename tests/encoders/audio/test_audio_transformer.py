"""Tests of pretrained audio models with tiny models created in the tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers

from segue.checks.check_encoder import check_encoder
from tests.encoders.audio import tiny_audio
from tests.encoders.conftest import sound
from toolkit.encoders.audio.audio_transformer import AudioTransformerEncoder, AudioTransformerParams
from toolkit.encoders.audio.decode_worker import decode
from toolkit.errors import InputError, MissingWeights


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: getattr(tiny_audio, name)(folder / name) for name in ("hubert", "mert", "ast", "clap")}


def made(folder, **params) -> AudioTransformerEncoder:
    return AudioTransformerEncoder(AudioTransformerParams(model=str(folder), **params))


@pytest.mark.parametrize(("name", "dim"), [("hubert", 16), ("mert", 16), ("ast", 16), ("clap", 12)])
def test_pretrained_audio_model_passes_check_encoder(name, dim, models, sounds):
    assert made(models[name]).dim == dim
    check_encoder(AudioTransformerEncoder, sounds, {"model": str(models[name]), "window": 1.0})


def test_audio_vector_equals_mean_of_states_over_time_and_windows(models):
    data = sound(1, seconds=2.5)
    samples = decode(data, rate=8000, seconds=30)
    model = transformers.HubertModel.from_pretrained(models["hubert"]).eval()
    extractor = transformers.AutoFeatureExtractor.from_pretrained(models["hubert"])
    rows = {0: [], None: []}
    for window in (samples[:8000], samples[8000:16000]):
        given = extractor(window, sampling_rate=8000, return_tensors="pt")
        with torch.inference_mode():
            states = model(**given, output_hidden_states=True)
        rows[None].append(states.last_hidden_state[0].mean(dim=0).numpy())
        rows[0].append(states.hidden_states[0][0].mean(dim=0).numpy())
    for layer, expected in rows.items():
        found = made(models["hubert"], window=1.0, layer=layer).transform([data])
        np.testing.assert_allclose(found, [np.mean(expected, axis=0)], atol=1e-5)


def test_mert_loads_as_hubert_without_remote_code(models, sounds):
    np.testing.assert_array_equal(made(models["mert"]).transform(sounds), made(models["hubert"]).transform(sounds))


def test_clap_vector_equals_audio_projection_of_transformers(models):
    data = sound(2, seconds=1.0)
    samples = decode(data, rate=8000, seconds=1)
    given = transformers.AutoFeatureExtractor.from_pretrained(models["clap"])(
        samples, sampling_rate=8000, return_tensors="pt"
    )
    model = transformers.ClapModel.from_pretrained(models["clap"]).eval()
    with torch.inference_mode():
        pooled = model.audio_model(given["input_features"], is_longer=torch.zeros(1, 1, dtype=torch.bool)).pooler_output
        expected = torch.nn.functional.normalize(model.audio_projection(pooled), dim=-1).numpy()
    found = made(models["clap"]).transform([data])
    np.testing.assert_allclose(found / np.linalg.norm(found), expected, atol=1e-5)


def test_dim_of_a_missing_model_does_not_use_the_network(monkeypatch):
    import huggingface_hub

    def fetched(*_, local_files_only=False, **__):
        assert local_files_only, "the network must not be used"
        raise huggingface_hub.errors.LocalEntryNotFoundError("not here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    with pytest.raises(InputError, match="pass the path of a model folder"):
        _ = AudioTransformerEncoder().dim


def test_audio_fingerprint_changes_with_the_weights(models):
    assert made(models["hubert"]).fingerprint() != made(models["ast"]).fingerprint()


def test_licence_of_a_known_model_is_returned():
    assert AudioTransformerEncoder().licence() == "Apache-2.0"
    assert AudioTransformerEncoder(AudioTransformerParams(model="m-a-p/MERT-v1-95M")).licence() == "CC-BY-NC-4.0"
    assert "not known here" in AudioTransformerEncoder(AudioTransformerParams(model="some/other")).licence()


def test_missing_audio_model_raises_error_with_path_cure(tmp_path, monkeypatch, models):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for model, fault in (("nowhere", InputError), ("nobody/nothing-at-all", MissingWeights)):
        with pytest.raises(fault, match=r"pass the path of a model folder$"):
            made(model).transform([sound(0)])


def test_model_without_feature_extractor_raises_input_error(tmp_path, models):
    folder = tiny_audio.hubert(tmp_path / "half")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match="must contain preprocessor_config.json"):
        made(folder).transform([sound(0)])


def test_incomplete_weights_raise_input_error(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tiny_audio.hubert(tmp_path / "cut")
    path = folder / "model.safetensors"
    save_file(
        {name: value for name, value in load_file(path).items() if "layers.1" not in name},
        path,
        metadata={"format": "pt"},
    )
    with pytest.raises(InputError, match=r"weights are missing, such as encoder.layers.1.*: download"):
        made(folder).transform([sound(0)])


def test_mert_with_unsupported_layers_raises_input_error(tmp_path):
    with pytest.raises(InputError, match="feature_extractor_cqt.*: set model to m-a-p/MERT-v1-95M"):
        made(tiny_audio.mert(tmp_path / "m", feature_extractor_cqt=True)).transform([sound(0)])


def test_layer_above_the_last_layer_raises_input_error(models):
    with pytest.raises(InputError, match="layer=9 must be at most 2"):
        made(models["hubert"], layer=9).transform([sound(0)])
