"""`audio-transformer`: audio encoder with a pretrained transformers model whose states are averaged over time.

Sources: MERT (Li et al. 2024), CLAP (Wu et al. 2023), AST (Gong et al. 2021), and every model that reads
`input_values`, such as wav2vec 2.0 or HuBERT. The default is laion/clap-htsat-unfused (Apache-2.0). Other models have
their own licences, such as CC-BY-NC-4.0 for the weights of MERT. Weights are loaded only from safetensors, and code
from a model page is never run. MERT is therefore loaded as a HuBERT model.
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

    - model: folder saved by transformers, or hub name with its owner.
    - window: length of a window in seconds, at most the length that the model accepts. Vectors are averaged over the
      windows of a clip.
    - layer: index of the layer whose states are averaged, where 0 is the input of the first layer. The default is the
      last layer. A model with a projection, such as CLAP, returns the projection and ignores `layer`.
    """

    model: str = "laion/clap-htsat-unfused"
    window: float = Field(10.0, gt=0, le=600)
    layer: int | None = Field(None, ge=0)


class AudioTransformerEncoder(AudioEncoder):
    """Audio encoder with a pretrained transformer, such as CLAP, MERT or AST, averaged over time.

    Takes n files and returns float32 [n, d], where d is the hidden size or the projection size of the model.
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
        """Return the folder of the model files, and download missing files.

        Raises `InputError` if the model is not an audio model.
        """
        return self._find(download=True)

    def _find(self, *, download: bool) -> Path:
        model = self.params.model
        if "/" not in model and not Path(model).is_dir():
            raise InputError(
                f"model={model!r} must be a folder or a hub name such as owner/name: pass the path of a model folder"
            )
        folder = model_hub.find(model, "audio", download=download)
        if not (folder / SETTINGS).is_file():
            raise InputError(f"model={model!r} must contain {SETTINGS}: save the feature extractor in the model folder")
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
        """Return float32 [n, d] for n files, with NaN for unreadable files. Downloads a missing model."""
        out = np.full((len(inputs), _size(_config(self.folder))), np.nan, np.float32)
        for index, samples in self._clips(inputs, progress, self.name):
            out[index] = self._embed(self._windows(samples))
        return out

    @property
    def sample_rate(self) -> int:
        return int(self._extractor.sampling_rate)

    def _windows(self, samples: np.ndarray) -> np.ndarray:
        """Return the whole windows of a clip, or a short clip as a single window, float32 [windows, samples]."""
        longest = getattr(self._extractor, "max_length_s", None) or self.params.window
        size = max(1, round(min(self.params.window, float(longest)) * self.sample_rate))
        count = len(samples) // size
        return samples[None] if not count else samples[: count * size].reshape(count, size)

    def _embed(self, windows: np.ndarray) -> np.ndarray:
        """Return the mean over windows and time, float32 [d]."""
        import torch

        features = self._extractor(list(windows), sampling_rate=self.sample_rate, return_tensors="pt")
        # CLAP's extractor marks a random one of several uncut clips as long: its `is_longer` is not used
        tensors = {
            name: features[name].to(self.device) for name in ("input_values", "input_features") if name in features
        }
        with torch.inference_mode():
            return self._states(tensors).float().mean(dim=0).cpu().numpy()

    def _states(self, tensors: dict[str, Tensor]) -> Tensor:
        """Return one vector per window, [windows, d]."""
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
            raise InputError(
                f"layer={layer} must be at most {last}, the last layer of {self.params.model}: reduce layer"
            )
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
                f"model={self.params.model!r} must be a complete {kind.__name__}, but {len(missing)} weights are "
                f"missing, such as {missing[0]}: download or save the model again"
            )
        return model.float().to(self.device).eval()

    def _hubert_config(self, config: Mapping[str, Any]) -> object:
        """Return a MERT configuration as a HuBERT configuration. Raises `InputError` for layers unknown to HuBERT."""
        from transformers import HubertConfig

        own = [name for name, value in config.items() if name in ("feature_extractor_cqt", "deepnorm") and value]
        if own or config.get("attention_relax", -1) > 0:
            raise InputError(
                f"model={self.params.model!r} is a MERT with {own or ['attention_relax']}, but only MERT v1 is "
                "supported: set model to m-a-p/MERT-v1-95M or m-a-p/MERT-v1-330M"
            )
        foreign = ("model_type", "auto_map", "architectures")
        return HubertConfig(**{name: value for name, value in config.items() if name not in foreign})


def _config(folder: Path) -> Mapping[str, Any]:
    config: Mapping[str, Any] = json.loads((folder / "config.json").read_text())
    return config


def _projects(config: Mapping[str, Any]) -> bool:
    """Return whether the model maps audio into an embedding space shared with text."""
    return config.get("model_type") == "clap"


def _size(config: Mapping[str, Any]) -> int:
    return int(config["projection_dim"] if _projects(config) else config["hidden_size"])
