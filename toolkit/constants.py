"""Constants shared by all packages, and the letters for array shapes in comments and docstrings.

Shapes: B queries or playlists in a block · T positions · V tracks of the catalogue (ids 1…V) · n rows · d dimensions of
one modality · H hidden size · k length of a ranking · M modalities.

Ids: the external id of a track is a string (`spotify:track:…`, `local:…`). Its item id in a corpus is an int32 from 1
to V. Arrays over items have V + 1 rows, and row 0 is not used.
"""

PAD = 0
"""Item id of an empty position, which is never used for a track."""


AUDIO_FEATURES = (
    "danceability",
    "energy",
    "key",
    "loudness",
    "mode",
    "speechiness",
    "acousticness",
    "instrumentalness",
    "liveness",
    "valence",
    "tempo",
)
"""Columns of the field `audio_features`, in this order.

Loudness is in dB, tempo in beats per minute, key 0…11, mode 0 or 1, and the others are 0…1.
"""
