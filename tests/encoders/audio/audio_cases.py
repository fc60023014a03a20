"""Name, class and small test parameters of every built-in audio encoder."""

from __future__ import annotations

from segue_papers.encoders.log_mel import LogMelEncoder
from segue_papers.encoders.mel_cnn import MelCnnEncoder
from segue_papers.encoders.mel_cnn_1d import MelCnn1dEncoder
from segue_papers.encoders.mfcc_tags import MfccTagsEncoder
from segue_papers.encoders.mfcc_words import MfccWordsEncoder
from segue_papers.encoders.spectrogram_dbn import SpectrogramDbnEncoder
from toolkit.encoders.audio.audio_features import AudioFeaturesEncoder
from toolkit.encoders.audio.cqt_cnn import CqtCnnEncoder
from toolkit.encoders.audio.cqt_spectrogram import CqtEncoder

SMALL = {"rate": 8000, "epochs": 2, "batch": 4, "bf16": "off"}
SMALL_CQT = SMALL | {"seconds": 1.5, "hop": 256, "bins": 72, "filters": [6, 8, 8], "kernel": 3, "pool": 3}
SMALL_MEL = SMALL | {"window": 0.6, "bands": 16, "fft": 256, "hop": 128}
SMALL_MFCC = {"rate": 8000, "fft": 256, "hop": 128, "words": 20, "frames": 300}

ELSEWHERE = {"audio-transformer"}
"""Under contract in a file of its own, on models made there."""

AUDIO_CASES = [
    ("cqt-cnn", CqtCnnEncoder, SMALL_CQT),
    ("cqt-cnn", CqtCnnEncoder, SMALL_CQT | {"output": "prediction", "loss": "squared"}),
    ("cqt", CqtEncoder, {"rate": 8000, "seconds": 1.5, "hop": 256, "bins": 72}),
    ("log-mel", LogMelEncoder, {"rate": 8000, "window": 0.5, "bands": 16, "fft": 256, "hop": 128}),
    ("mel-cnn", MelCnnEncoder, SMALL_MEL | {"filters": [6, 8], "hidden": 5}),
    ("mel-cnn-1d", MelCnn1dEncoder, SMALL_MEL | {"filters": [6, 6, 8], "dropout": 0.2, "loss": "logistic"}),
    ("audio-features", AudioFeaturesEncoder, {}),
    (
        "spectrogram-dbn",
        SpectrogramDbnEncoder,
        {"seconds": 1.0, "bands": 12, "components": 5, "hidden": [8, 6], "epochs": 20, "lr": 0.2},
    ),
    ("mfcc-words", MfccWordsEncoder, SMALL_MFCC),
    ("mfcc-tags", MfccTagsEncoder, SMALL_MFCC | {"hidden": [8, 8, 6], "epochs": 2, "batch": 4}),
]
