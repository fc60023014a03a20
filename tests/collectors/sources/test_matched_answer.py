from __future__ import annotations

import pytest

from collectors.sources.matched_answer import audio_features_of
from toolkit.constants import AUDIO_FEATURES


@pytest.mark.parametrize("number", [None, True, "0.5", float("nan"), float("-inf"), 1e39, 10**400, -(10**400)])
def test_audio_feature_that_is_not_a_finite_float32_is_missing(number: object) -> None:
    row = dict.fromkeys(AUDIO_FEATURES, 0.5)
    assert audio_features_of(row) == ([0.5] * len(AUDIO_FEATURES), "")
    assert audio_features_of(row | {"tempo": number}) == ([], "without tempo")
