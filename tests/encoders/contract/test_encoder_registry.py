"""Tests of creating encoders by name and of errors for invalid parameters."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from toolkit import plugins
from toolkit.encoders.contract.encoder import Encoder
from toolkit.encoders.contract.registry import create, describe
from toolkit.encoders.features.codes import CodesEncoder
from toolkit.errors import InputError


class Half(Encoder):
    """Encoder without a name and with missing methods."""

    def transform(self, inputs, *, progress=None):
        return inputs


@pytest.fixture
def with_strangers(monkeypatch):
    real = plugins.points("segue.encoders")
    strange = {
        "broken": EntryPoint("broken", "no_such_module_anywhere:Encoder", "segue.encoders"),
        "function": EntryPoint("function", "json:dumps", "segue.encoders"),
        "half": EntryPoint("half", f"{__name__}:Half", "segue.encoders"),
    }
    monkeypatch.setattr(plugins, "points", lambda group: real | strange)


def test_create_sets_parameters_seed_and_device():
    encoder = create("codes", {"dim": 8}, seed=3, device="cpu")
    assert isinstance(encoder, CodesEncoder)
    assert (encoder.dim, encoder.seed, encoder.device) == (8, 3, "cpu")


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("code", {}, "'code' is not an encoder: did you mean 'codes'?"),
        ("features-vae", {"latant": 3}, "encoder 'features-vae': latant is not a key: did you mean latent?"),
        ("features-vae", {"latent": 0}, "encoder 'features-vae': latent=0 must be greater than or equal to 1"),
        ("features", {"anything": 1}, "encoder 'features': anything is not a key: no names are allowed here"),
        ("image-vae", {"output": "mean"}, "output='mean' must be 'mu', 'mu+sigma' or 'sample'"),
        ("image-ae", {"size": 100}, "encoder 'image-ae': size=100 must be a multiple of 32"),
        ("tfidf", {"token_pattern": "("}, "token_pattern='(' must be a regular expression"),
    ],
)
def test_unknown_encoder_or_parameter_raises_error_with_the_cure(name, params, message):
    with pytest.raises(InputError) as caught:
        create(name, params, device="cpu")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_describe_returns_one_row_per_encoder():
    rows = {row["name"]: row for row in describe()}
    assert {"codes", "features", "features-vae", "image-ae", "image-vae", "sentence-bert", "tfidf"} <= set(rows)
    assert rows["sentence-bert"] == {
        "name": "sentence-bert",
        "kind": "text",
        "dim": 384,
        "learns": False,
        "source": "Reimers and Gurevych 2019; sentence-transformers/all-MiniLM-L6-v2",
        "weights_licence": "Apache-2.0 (all-MiniLM-L6-v2)",
        "package": "segue",
        "error": "",
    }
    assert (rows["features"]["dim"], rows["features"]["learns"]) == (None, True)
    assert rows["image-vae"]["dim"] == 128


def test_describe_reports_a_plugin_that_cannot_be_imported(with_strangers):
    rows = {row["name"]: row for row in describe()}
    assert "cannot be imported (ModuleNotFoundError" in rows["broken"]["error"]
    assert "is not a subclass of segue.plugin.Encoder" in rows["function"]["error"]
    assert rows["codes"]["error"] == ""
    with pytest.raises(
        InputError, match=r"'half' of .*:Half must implement name, kind, dim: see segue\.plugin\.Encoder"
    ):
        create("half")


def test_describe_does_not_import_heavy_packages():
    heavy = "[m for m in ('torch', 'transformers', 'sklearn', 'pandas', 'PIL') if m in sys.modules]"
    code = f"import sys; from toolkit.encoders.contract.registry import describe; describe(); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
