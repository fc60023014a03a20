"""Contract tests of the built-in audio encoders at small sizes."""

from __future__ import annotations

import numpy as np
import pytest

from segue.checks.check_encoder import check_encoder
from tests.encoders.audio.audio_cases import AUDIO_CASES
from toolkit import plugins


@pytest.mark.parametrize(
    ("name", "cls", "params"), AUDIO_CASES, ids=[f"{name}-{place}" for place, (name, _, _) in enumerate(AUDIO_CASES)]
)
def test_built_in_audio_encoder_passes_check_encoder(name, cls, params, sounds):
    assert cls.name == name
    targets = np.random.default_rng(3).random((len(sounds), 3), dtype=np.float32) if cls.supervised else None
    check_encoder(cls, sounds, params, targets=targets)


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("name", "cls", "params"), AUDIO_CASES, ids=[f"{name}-{place}" for place, (name, _, _) in enumerate(AUDIO_CASES)]
)
def test_built_in_audio_encoder_passes_check_encoder_on_gpu(name, cls, params, sounds):
    targets = np.random.default_rng(3).random((len(sounds), 3), dtype=np.float32) if cls.supervised else None
    check_encoder(plugins.load("segue.encoders", name), sounds, params, targets=targets, device="cuda", tolerance=1e-4)
