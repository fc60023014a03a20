"""Tiny untrained audio models in the format of transformers."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import transformers

HUBERT = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "conv_dim": [8, 8],
    "conv_kernel": [10, 4],
    "conv_stride": [5, 4],
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}


def hubert(folder: Path) -> Path:
    return _saved(
        folder,
        transformers.HubertModel(transformers.HubertConfig(**HUBERT)),
        transformers.Wav2Vec2FeatureExtractor(sampling_rate=8000, do_normalize=True),
    )


def mert(folder: Path, **settings) -> Path:
    """Save a HuBERT model under the name of MERT, with remote code that must not be run."""
    hubert(folder)
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "mert_model",
        "auto_map": {"AutoModel": "modeling_MERT.MERTModel"},
        "attention_relax": -1.0,
        **settings,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling_MERT.py").write_text("raise SystemExit('code of a model page was run')\n")
    return folder


def ast(folder: Path) -> Path:
    config = transformers.ASTConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        patch_size=8,
        frequency_stride=8,
        time_stride=8,
        max_length=64,
        num_mel_bins=16,
    )
    extractor = transformers.ASTFeatureExtractor(sampling_rate=16000, num_mel_bins=16, max_length=64)
    return _saved(folder, transformers.ASTModel(config), extractor)


def clap(folder: Path) -> Path:
    audio = {
        "spec_size": 64,
        "num_mel_bins": 16,
        "window_size": 4,
        "patch_size": 2,
        "patch_stride": [2, 2],
        "hidden_size": 32,
        "patch_embeds_hidden_size": 16,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "num_hidden_layers": 2,
        "projection_dim": 12,
        "num_classes": 4,
    }
    text = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "vocab_size": 50,
        "projection_dim": 12,
    }
    extractor = transformers.ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=8000,
        hop_length=128,
        max_length_s=1,
        fft_window_size=256,
        frequency_max=4000,
        truncation="rand_trunc",
    )
    return _saved(
        folder,
        transformers.ClapModel(transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=12)),
        extractor,
    )


def _saved(folder: Path, model, extractor) -> Path:
    # weights as an untrained model has them differ too little between inputs to compare
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.copy_(torch.randn(weight.shape, generator=generator) * (1 / weight[0].numel()) ** 0.5)
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    return folder
