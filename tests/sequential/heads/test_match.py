"""Tests of the match head against slow loops over seeds and modalities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.sequential.small_models import modality
from toolkit.fusion.prepare import prepare
from toolkit.modality import Modality
from toolkit.sequential.heads import match_head
from toolkit.sequential.heads.match_head import MatchHead

V = 20
AUDIO, LYRICS = modality("audio", V, 4, 0), modality("lyrics", V, 6, 1)
PLAYLISTS = torch.tensor([[3, 8, 1, 3, 20], [7, 2, 0, 0, 0], [5, 0, 0, 0, 0]])
WEIGHTS = (0.5, -2.0)


def head() -> MatchHead:
    made = MatchHead({"audio": AUDIO, "lyrics": LYRICS})
    with torch.no_grad():
        made.weight.copy_(torch.tensor(WEIGHTS))
    return made


def slow_score(playlist: list[int], candidate: int) -> float:
    """Return Σ_m w_m · ⟨Σ content of the seeds / √n, content of the candidate⟩."""
    total = 0.0
    for weight, each in zip(WEIGHTS, (AUDIO, LYRICS), strict=True):
        content = prepare(each, missing="zero", reduce="none", normalise="before").astype(np.float64)
        summed = sum((content[track] for track in playlist), np.zeros(each.dim))
        total += weight * float(summed @ content[candidate]) / np.sqrt(len(playlist))
    return total


def test_match_prefix_equals_slow_loop_at_every_position() -> None:
    made = head()
    found = (made.prefix(PLAYLISTS) @ made.rows(torch.arange(V + 1)).T).detach()  # (3, 5, V + 1)
    assert found.shape == (3, 5, V + 1)
    for row, playlist in enumerate(PLAYLISTS.tolist()):
        tracks = [track for track in playlist if track]
        for end in range(1, len(tracks) + 1):
            wanted = [slow_score(tracks[:end], candidate) for candidate in range(V + 1)]
            assert found[row, end - 1].tolist() == pytest.approx(wanted, abs=1e-5)


def test_match_whole_equals_last_prefix_with_padding_on_either_side() -> None:
    made = head()
    wanted = made.prefix(PLAYLISTS)[:, -1]
    torch.testing.assert_close(made.whole(PLAYLISTS), wanted)
    torch.testing.assert_close(made.whole(PLAYLISTS.flip(1)), wanted)  # as BERT4Rec hides tracks: holes anywhere


def test_match_bags_equal_match_whole_without_padding() -> None:
    made = head()
    flat, offsets = PLAYLISTS[PLAYLISTS > 0], torch.tensor([0, 5, 7, 7, 8])  # the third is empty
    wanted = made.whole(PLAYLISTS)
    torch.testing.assert_close(
        made.bags(flat, offsets), torch.stack([wanted[0], wanted[1], torch.zeros_like(wanted[0]), wanted[2]])
    )


def test_match_score_is_zero_without_seeds() -> None:
    assert not head().whole(torch.zeros(2, 3, dtype=torch.int64)).any()


def test_missing_modality_adds_zero_to_match_score() -> None:
    made, absent = head(), int(np.flatnonzero(~AUDIO.present[1:])[0]) + 1
    assert not made.rows(torch.tensor([absent]))[0, :4].any()


def test_orthogonal_artist_codes_match_only_the_same_artist() -> None:
    """Use orthogonal codes for three artists with two tracks each, and compare scores after centring."""
    codes = np.zeros((7, 3), np.float32)
    codes[1:] = np.eye(3)[[0, 0, 1, 1, 2, 2]]
    made = MatchHead({"artist": Modality("artist", codes, np.arange(7) > 0)})
    scores = (made.whole(torch.tensor([[1]])) @ made.rows(torch.arange(7)).T)[0].detach()
    # three unit vectors less their mean, at unit length again: inner products 1 and −1/2
    assert scores.tolist() == pytest.approx([0, 1, 1, -0.5, -0.5, -0.5, -0.5], abs=1e-6)


def test_only_the_weights_of_the_match_head_are_trainable() -> None:
    made = head()
    assert [name for name, _ in made.named_parameters()] == ["weight"]
    made.prefix(PLAYLISTS).sum().backward()
    assert made.weight.grad is not None and bool((made.weight.grad != 0).all())
    assert made.weights() == {"audio": 0.5, "lyrics": -2.0}


def test_wide_modalities_are_reduced_to_principal_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_head, "WIDEST", 5)
    made = MatchHead({"audio": AUDIO, "lyrics": LYRICS})
    assert made.layout() == {"audio": 4, "lyrics": 5}
    wanted = prepare(LYRICS, missing="zero", reduce="pca:5", normalise="before")
    assert np.array_equal(made.rows(torch.arange(V + 1))[:, 4:].numpy(), wanted)


def test_blank_match_head_loads_saved_state() -> None:
    made = head()
    blank = MatchHead.blank(made.layout(), V + 1)
    blank.load_state_dict(made.state_dict())
    assert torch.equal(blank.prefix(PLAYLISTS), made.prefix(PLAYLISTS))
    assert blank.weights() == made.weights()
