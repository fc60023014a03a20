"""Tests of MFCC frames, codebook, counts, principal axes and tags."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA

from segue_papers.encoders.mfcc_codebook import MfccParams, _Sample, mfcc
from segue_papers.encoders.mfcc_tags import MfccTagsEncoder, MfccTagsParams
from segue_papers.encoders.mfcc_words import MfccWordsEncoder, MfccWordsParams, principal_axes
from tests.encoders.audio.audio_cases import SMALL_MFCC
from tests.encoders.conftest import pure, sound, tone
from toolkit.errors import InputError


def test_mfcc_frame_contains_13_coefficients_and_their_differences():
    clip = (tone(440, 22050) * np.linspace(0, 1, 22050)).astype(np.float32)
    found = mfcc(clip, MfccParams())
    expected = librosa.feature.mfcc(y=clip, sr=22050, n_mfcc=13, n_fft=1024, hop_length=512)
    assert found.shape == (44, 39)
    np.testing.assert_allclose(found[:, :13], expected.T, rtol=1e-5, atol=1e-4)
    inner = slice(4, 40)  # away from the edges librosa's differences are the same
    np.testing.assert_allclose(found[inner, 13:26], librosa.feature.delta(expected)[:, inner].T, atol=1e-3)
    np.testing.assert_allclose(found[inner, 26:], librosa.feature.delta(expected, order=2)[:, inner].T, atol=1e-3)


@pytest.mark.parametrize("samples", [1, 100, 1024, 3000])
def test_mfcc_of_very_short_clips_has_frames(samples):
    found = mfcc(tone(300, samples).astype(np.float32), MfccParams())
    assert found.shape[1] == 39
    assert np.isfinite(found).all()


def test_frame_sample_is_bounded_and_independent_of_batches():
    rng = np.random.default_rng(1)
    frames, lots = np.arange(1000, dtype=np.float32)[:, None], rng.random(1000)
    whole, parts = _Sample(50), _Sample(50)
    whole.add(frames, lots)
    for low in range(0, 1000, 30):
        parts.add(frames[low : low + 30], lots[low : low + 30])
        assert sum(len(kept) for _, kept in parts.kept) <= 100
    np.testing.assert_array_equal(whole.frames, parts.frames)
    np.testing.assert_array_equal(np.sort(lots)[:50], np.sort(lots[whole.frames[:, 0].astype(int)]))
    assert len(_Sample(5).frames) == 0


@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (12, 12)])
@pytest.mark.parametrize("variance", [0.5, 0.95, 1.0])
def test_principal_axes_equal_sklearn_pca(shape, variance):
    rng = np.random.default_rng(2)
    table = rng.poisson(1.0, shape) * np.geomspace(3, 0.3, shape[1])
    center, axes = principal_axes(sp.csr_matrix(table), variance)
    peer = PCA(variance if variance < 1 else None, svd_solver="full").fit(table)
    count = min(len(axes), (peer.explained_variance_ > 1e-9).sum())
    assert count == len(axes)
    if variance < 1:
        assert len(axes) == peer.n_components_
    np.testing.assert_allclose(center, table.mean(axis=0))
    np.testing.assert_allclose(np.abs(axes @ peer.components_[:count].T), np.eye(count), atol=1e-6)
    assert (axes[np.arange(count), np.abs(axes).argmax(axis=1)] > 0).all()


def test_identical_rows_have_one_principal_axis():
    center, axes = principal_axes(np.ones((4, 3)), 0.95)
    assert axes.shape == (1, 3)
    assert center.tolist() == [1, 1, 1]


def test_each_frame_is_assigned_to_its_nearest_word():
    encoder = MfccWordsEncoder(MfccWordsParams(**SMALL_MFCC)).fit([sound(number) for number in range(4)])
    frames = np.random.default_rng(0).normal(size=(2100, 39)).astype(np.float32)
    expected = ((frames[:, None] - encoder.words[None]) ** 2).sum(axis=2).argmin(axis=1)
    assert (encoder._nearest(frames) == expected).mean() > 0.999
    assert len(encoder.words) == 20


def test_mfcc_words_do_not_depend_on_the_clip_length():
    """Tones of 1 s and 4 s are closer to each other than to another tone."""
    clips = [pure(300, 1), pure(300, 4), pure(2000, 1), pure(2000, 4)]
    rows = MfccWordsEncoder(MfccWordsParams(**SMALL_MFCC)).fit(clips).transform(clips)
    apart = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    assert max(apart[0, 1], apart[2, 3]) < 0.5 * apart[:2, 2:].min()


def test_mfcc_tags_predicts_tags_of_unseen_clips():
    clips = [pure(frequency) for frequency in [*np.linspace(100, 200, 8), *np.linspace(1500, 2500, 8)]]
    labels = np.eye(2, dtype=np.float32)[np.repeat([0, 1], 8)]
    params = MfccTagsParams(**SMALL_MFCC | {"hidden": [16, 16], "epochs": 40, "batch": 8, "output": "prediction"})
    found = MfccTagsEncoder(params).fit(clips, labels).transform([pure(150), pure(2000)])
    assert found.argmax(axis=1).tolist() == [0, 1]
    assert ((found > 0) & (found < 1)).all()


def test_default_mfcc_sizes_equal_the_papers():
    assert MfccTagsEncoder().dim == 1200
    encoder = MfccTagsEncoder()
    encoder.words = np.zeros((1024, 39), np.float32)
    assert [layer.out_features for layer in encoder._build(561).trunk if hasattr(layer, "weight")] == [1200, 1200, 1200]
    assert MfccWordsParams().words == 4000


def test_mfcc_fit_without_readable_files_raises_input_error():
    with pytest.raises(InputError, match="none of 1 audio files can be read"):
        MfccWordsEncoder(MfccWordsParams(**SMALL_MFCC)).fit([b"x"])
    with pytest.raises(InputError, match="requires targets"):
        MfccTagsEncoder(MfccTagsParams(**SMALL_MFCC)).fit([sound(0)])


def test_mfcc_words_separate_sound_families_of_the_demo():
    """A classifier fitted on artists with even numbers predicts the main family of the other tracks."""
    from sklearn.linear_model import RidgeClassifier

    from segue.datasets.demo.demo_params import DemoParams
    from segue.datasets.demo.demo_reader import DemoReader

    reader = DemoReader(params=DemoParams(tracks=200, artists=40, playlists=10, fields=["audio"]))
    world = reader.story.world
    clips = [track.fields["audio"].value for track in reader._tracks()]
    family = world.taste.reshape(len(clips), 4, 3).sum(axis=2).argmax(axis=1)
    even = world.track_artist % 2 == 0
    params = MfccWordsParams(seconds=4, rate=8000, words=60, frames=8000)
    rows = (
        MfccWordsEncoder(params).fit([clip for clip, known in zip(clips, even, strict=True) if known]).transform(clips)
    )
    right = RidgeClassifier().fit(rows[even], family[even]).score(rows[~even], family[~even])
    most = np.bincount(family[~even]).max() / (~even).sum()
    assert right > most + 0.2
