"""`audio-transformer`: audio through a pretrained model of the transformers library, its states averaged over time.

Sources: MERT (Li et al. 2024), CLAP (Wu et al. 2023), AST (Gong et al. 2021), and every model of `input_values` such as
wav2vec 2.0 or HuBERT. Default: laion/clap-htsat-unfused, Apache-2.0; other models have their own licences (the weights
of MERT are CC-BY-NC-4.0). Weights are loaded from safetensors only, and no code of a model's page is run: MERT, whose
page has its own code, is loaded as the HuBERT that it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from toolkit.encoders.audio.audio_encoder import AudioEncoder, AudioFileParams
from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.encoder import Audio, EncoderParams, Progress
from toolkit.errors import InputError
from toolkit.packages import AUDIO_TRANSFORMERS, Package

if TYPE_CHECKING:
    from torch import Tensor

KNOWN = {
    "laion/clap-htsat-unfused": "Apache-2.0",
    "m-a-p/mert-v1-95m": "CC-BY-NC-4.0",
    "m-a-p/mert-v1-330m": "CC-BY-NC-4.0",
}
"""Licences of weights by hub name, in lower case."""
SETTINGS = "preprocessor_config.json"


class AudioTransformerParams(AudioFileParams):
    """Parameters of a pretrained audio model.

    - model: a folder saved by transformers, or a hub name with its owner.
    - window: seconds that go through the model at once, at most those that it accepts. The windows of a clip are
      averaged.
    - layer: the layer whose states are averaged, 0 for the input of the first; default: the last. A model that projects
      its output (CLAP) returns the projection, and has no layer to choose.
    """

    model: str = "laion/clap-htsat-unfused"
    window: float = Field(10.0, gt=0, le=600)
    layer: int | None = Field(None, ge=0)


class AudioTransformerEncoder(AudioEncoder):
    """Encodes audio with a pretrained transformer, such as CLAP, MERT or AST, averaged over time.

    Takes n files and returns float32 [n, d]; d is the hidden size of the model, or the size of its projection.
    """

    name: ClassVar[str] = "audio-transformer"
    seeded: ClassVar[bool] = False
    source: ClassVar[str] = "Wu et al. 2023 (CLAP); Li et al. 2024 (MERT); Gong et al. 2021 (AST)"
    weights_licence: ClassVar[str] = "Apache-2.0 (laion/clap-htsat-unfused)"
    Params: ClassVar[type[EncoderParams]] = AudioTransformerParams
    requires: ClassVar[tuple[Package, ...]] = (*AudioEncoder.requires, AUDIO_TRANSFORMERS)
    params: AudioTransformerParams

    @cached_property
    def folder(self) -> Path:
        """The folder of the model's files, which are downloaded if they are missing.

        Raises `InputError` if it is not an audio model.
        """
        return self._find(download=True)

    def _find(self, *, download: bool) -> Path:
        model = self.params.model
        if "/" not in model and not Path(model).is_dir():
            raise InputError(f"model={model!r} is neither a folder nor a hub name with its owner: give its path")
        folder = model_hub.find(model, "audio", download=download)
        if not (folder / SETTINGS).is_file():
            raise InputError(f"model={model!r} has no {SETTINGS}: save its feature extractor beside it")
        return folder

    @property
    def dim(self) -> int:
        # a list of encoders must not download a model
        return _size(_config(vars(self).get("folder") or self._find(download=False)))

    def check_files(self) -> None:
        self._find(download=False)

    def fingerprint(self) -> str:
        return model_hub.fingerprint(self.folder)

    def licence(self) -> str:
        return KNOWN.get(self.params.model.casefold(), model_hub.unknown_licence(self.params.model))

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """n files -> float32 [n, d]; NaN for a file that cannot be read. Downloads the model if it is missing."""
        out = np.full((len(inputs), _size(_config(self.folder))), np.nan, np.float32)
        for index, samples in self._clips(inputs, progress, self.name):
            out[index] = self._embed(self._windows(samples))
        return out

    @property
    def sample_rate(self) -> int:
        return int(self._extractor.sampling_rate)

    def _windows(self, samples: np.ndarray) -> np.ndarray:
        """Whole windows of a clip, or the clip if it is shorter than one: float32 [windows, samples]."""
        longest = getattr(self._extractor, "max_length_s", None) or self.params.window
        size = max(1, round(min(self.params.window, float(longest)) * self.sample_rate))
        count = len(samples) // size
        return samples[None] if not count else samples[: count * size].reshape(count, size)

    def _embed(self, windows: np.ndarray) -> np.ndarray:
        """Mean over windows and time: float32 [d]."""
        import torch

        features = self._extractor(list(windows), sampling_rate=self.sample_rate, return_tensors="pt")
        # CLAP's extractor marks a random one of several uncut clips as long: its `is_longer` is not used
        tensors = {
            name: features[name].to(self.device) for name in ("input_values", "input_features") if name in features
        }
        with torch.inference_mode():
            return self._states(tensors).float().mean(dim=0).cpu().numpy()

    def _states(self, tensors: dict[str, Tensor]) -> Tensor:
        """One vector for each window: (windows, d)."""
        import torch

        layer = self.params.layer
        if _projects(_config(self.folder)):
            windows = tensors["input_features"]
            longer = torch.zeros(len(windows), 1, dtype=torch.bool, device=windows.device)
            states: Tensor = self._model(**tensors, is_longer=longer).audio_embeds
            return states
        output = self._model(**tensors, output_hidden_states=layer is not None)
        if layer is not None and layer >= len(output.hidden_states):
            last = len(output.hidden_states) - 1
            raise InputError(f"layer={layer} must be at most {last}: {self.params.model} has no more")
        states = output.last_hidden_state if layer is None else output.hidden_states[layer]
        return states.mean(dim=1)

    @cached_property
    def _extractor(self) -> Any:
        from transformers import AutoFeatureExtractor

        with model_hub.loading(self.params.model, self.folder, "an audio model"):
            return AutoFeatureExtractor.from_pretrained(self.folder, trust_remote_code=False)

    @cached_property
    def _model(self) -> Any:
        import transformers

        config, options = _config(self.folder), dict[str, object]()
        kind: Any = transformers.AutoModel
        if _projects(config):
            kind = transformers.ClapAudioModelWithProjection
        elif config.get("model_type") == "mert_model":
            kind, options["config"] = transformers.HubertModel, self._hubert_config(config)
        with model_hub.loading(self.params.model, self.folder, "an audio model"):
            model, about = kind.from_pretrained(
                self.folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **options
            )
        # a layer without weights would be random; only the mask of training may be missing
        missing = sorted(name for name in about["missing_keys"] if not name.endswith("masked_spec_embed"))
        if missing:
            raise InputError(
                f"model={self.params.model!r} lacks weights for {missing[0]} ({len(missing)} in all): it is not a "
                f"{kind.__name__}"
            )
        return model.float().to(self.device).eval()

    def _hubert_config(self, config: Mapping[str, Any]) -> object:
        """The configuration of a MERT as that of a HuBERT. Raises `InputError` for a MERT with layers of its own."""
        from transformers import HubertConfig

        own = [name for name, value in config.items() if name in ("feature_extractor_cqt", "deepnorm") and value]
        if own or config.get("attention_relax", -1) > 0:
            raise InputError(
                f"model={self.params.model!r} is a MERT with {own or ['attention_relax']}, which HuBERT does not "
                "have: take MERT v1"
            )
        foreign = ("model_type", "auto_map", "architectures")
        return HubertConfig(**{name: value for name, value in config.items() if name not in foreign})


def _config(folder: Path) -> Mapping[str, Any]:
    config: Mapping[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def _projects(config: Mapping[str, Any]) -> bool:
    """Whether the model maps audio into a space that it shares with text."""
    return config.get("model_type") == "clap"


def _size(config: Mapping[str, Any]) -> int:
    return int(config["projection_dim"] if _projects(config) else config["hidden_size"])
