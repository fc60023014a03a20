"""`audio-transformer`: audio through any pretrained model of the transformers library, by name or path, its states averaged over time.

Sources: MERT (Li et al. 2024), CLAP (Wu et al. 2023), AST (Gong et al. 2021), and every model of `input_values` like wav2vec 2.0
or HuBERT. Default: laion/clap-htsat-unfused, Apache-2.0; other models have their own licences (MERT's weights are CC-BY-NC-4.0). Weights
come as safetensors alone, and no code of a model's page is run: MERT, whose page has code of its own, is read as the HuBERT that it is.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from toolkit.encoders.audio.audio_encoder import AudioEncoder, HeardParams
from toolkit.encoders.contract import model_hub
from toolkit.encoders.contract.encoder import Audio, EncoderParams, Progress
from toolkit.encoders.contract.encoder_files import load_encoder, save_encoder
from toolkit.errors import InputError
from toolkit.packages import TRANSFORMERS, Package

if TYPE_CHECKING:
    from torch import Tensor

KNOWN = {
    "laion/clap-htsat-unfused": "Apache-2.0",
    "m-a-p/mert-v1-95m": "CC-BY-NC-4.0",
    "m-a-p/mert-v1-330m": "CC-BY-NC-4.0",
}
"""Licences of weights by hub name, in lower case."""
SETTINGS = "preprocessor_config.json"


class AudioTransformerParams(HeardParams):
    """model: a folder that transformers saved, or a hub name with its owner. window: seconds that go through the model at once, never more
    than it takes; a clip's windows are averaged. layer: whose states are averaged, 0 before the first; default: the last. A model that
    projects its output into a space of its own (CLAP) gives that, and takes no layer."""

    model: str = "laion/clap-htsat-unfused"
    window: float = Field(10.0, gt=0, le=600)
    layer: int | None = Field(None, ge=0)


class AudioTransformerEncoder(AudioEncoder):
    """Encodes audio with a pretrained transformer, such as CLAP, MERT or AST, averaged over time.

    Returns float32 [n, d]; d is the hidden size of the model, or the size of its projection.
    """

    name: ClassVar[str] = "audio-transformer"
    seeded: ClassVar[bool] = False
    source: ClassVar[str] = "Wu et al. 2023 (CLAP); Li et al. 2024 (MERT); Gong et al. 2021 (AST)"
    weights_licence: ClassVar[str] = "Apache-2.0 (laion/clap-htsat-unfused)"
    Params: ClassVar[type[EncoderParams]] = AudioTransformerParams
    requires: ClassVar[tuple[Package, ...]] = (*AudioEncoder.requires, TRANSFORMERS)
    params: AudioTransformerParams

    @cached_property
    def folder(self) -> Path:
        """Where the model's files are, fetched where they are not here. Raises `InputError` for a model of no audio, or none at all."""
        return self._find(download=True)

    def _find(self, *, download: bool) -> Path:
        wanted = self.params.model
        if "/" not in wanted and not Path(wanted).is_dir():
            raise InputError(f"model={wanted!r} is neither a folder nor a hub name with its owner: give its path")
        try:
            folder = model_hub.find(wanted, download=download)
        except InputError as error:
            raise type(error)(f"{str(error).rpartition(': ')[0]}: give its path") from None
        if not (folder / SETTINGS).is_file():
            raise InputError(f"model={wanted!r} has no {SETTINGS}: save its feature extractor beside it")
        return folder

    @property
    def dim(self) -> int:
        # to be asked for its size is no reason to fetch a model
        return _size(_config(vars(self).get("folder") or self._find(download=False)))

    def check_files(self) -> None:
        self._find(download=False)

    def fingerprint(self) -> str:
        return model_hub.fingerprint(self.folder)

    def licence(self) -> str:
        return KNOWN.get(self.params.model.casefold(), f"not known here: see where {self.params.model} comes from")

    def transform(self, inputs: Audio, *, progress: Progress | None = None) -> np.ndarray:
        """n files -> float32 [n, d]; NaN for a file that cannot be read. Fetches the model where it is not here."""
        out = np.full((len(inputs), _size(_config(self.folder))), np.nan, np.float32)
        for place, samples in self._heard(inputs, progress, self.name):
            out[place] = self._embedded(self._windows(samples))
        return out

    def save(self, directory: Path) -> None:
        save_encoder(self, directory)

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu") -> Self:
        return load_encoder(cls, directory, device=device)[0]

    def _rate(self) -> int:
        return int(self._extractor.sampling_rate)

    def _windows(self, samples: np.ndarray) -> np.ndarray:
        """Whole windows of a clip, or the clip where it is shorter than one: float32 [windows, samples]."""
        longest = getattr(self._extractor, "max_length_s", None) or self.params.window
        size = max(1, round(min(self.params.window, float(longest)) * self._rate()))
        count = len(samples) // size
        return samples[None] if not count else samples[: count * size].reshape(count, size)

    def _embedded(self, windows: np.ndarray) -> np.ndarray:
        """Mean over windows and time: float32 [d]."""
        import torch

        given = self._extractor(list(windows), sampling_rate=self._rate(), return_tensors="pt")
        # for clips that were not cut, CLAP's extractor draws one at random to be called long
        tensors = {
            name: value.to(self.device) for name, value in given.items() if name in ("input_values", "input_features")
        }
        with torch.inference_mode():
            return self._states(tensors).float().mean(dim=0).cpu().numpy()

    def _states(self, tensors: dict[str, Tensor]) -> Tensor:
        """One vector a window: (windows, d)."""
        if _projects(_config(self.folder)):
            found: Tensor = self._model(**tensors, is_longer=_none_longer(tensors)).audio_embeds
            return found
        layer = self.params.layer
        states = self._model(**tensors, output_hidden_states=layer is not None)
        if layer is None:
            return states.last_hidden_state.mean(dim=1)
        if layer >= len(states.hidden_states):
            raise InputError(
                f"layer={layer} must be at most {len(states.hidden_states) - 1}: {self.params.model} has no more"
            )
        return states.hidden_states[layer].mean(dim=1)

    @cached_property
    def _extractor(self) -> Any:
        from transformers import AutoFeatureExtractor

        try:
            return AutoFeatureExtractor.from_pretrained(self.folder, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"model={self.params.model!r} has no feature extractor that transformers knows: {error}"
            ) from None

    @cached_property
    def _model(self) -> Any:
        kind, options = self._class()
        try:
            model, about = kind.from_pretrained(
                self.folder, use_safetensors=True, trust_remote_code=False, output_loading_info=True, **options
            )
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"model={self.params.model!r} does not load: {str(error).splitlines()[0]}") from None
        # a layer without weights would be random; the mask of training alone may be missing
        lacking = sorted(name for name in about["missing_keys"] if not name.endswith("masked_spec_embed"))
        if lacking:
            raise InputError(
                f"model={self.params.model!r} lacks weights for {lacking[0]} ({len(lacking)} in all): it is not a {kind.__name__}"
            )
        return model.float().to(self.device).eval()

    def _class(self) -> tuple[Any, dict[str, Any]]:
        import transformers

        settings = _config(self.folder)
        if _projects(settings):
            return transformers.ClapAudioModelWithProjection, {}
        if settings.get("model_type") != "mert_model":
            return transformers.AutoModel, {}
        own = [name for name in ("feature_extractor_cqt", "deepnorm") if settings.get(name)]
        if own or settings.get("attention_relax", -1) > 0:
            raise InputError(
                f"model={self.params.model!r} is a MERT with {own or ['attention_relax']}, which HuBERT has not: take MERT v1"
            )
        plain = {
            name: value for name, value in settings.items() if name not in ("model_type", "auto_map", "architectures")
        }
        return transformers.HubertModel, {"config": transformers.HubertConfig(**plain)}


def _config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


def _projects(settings: dict[str, Any]) -> bool:
    """Whether the model maps audio into a space that it shares with text."""
    return settings.get("model_type") == "clap"


def _size(settings: dict[str, Any]) -> int:
    return int(settings["projection_dim"] if _projects(settings) else settings["hidden_size"])


def _none_longer(tensors: dict[str, Tensor]) -> Tensor:
    import torch

    features = tensors["input_features"]
    return torch.zeros(len(features), 1, dtype=torch.bool, device=features.device)
