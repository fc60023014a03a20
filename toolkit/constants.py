"""Constants that all packages share, and the letters that comments and docstrings use for shapes.

Shapes: B queries or playlists in a block · T positions · V tracks of the catalogue (ids 1…V) · n rows · d dimensions of
one modality · H hidden size · k length of a ranking · M modalities.

Ids: outside the corpus a track is a string (`spotify:track:…`, `local:…`). Inside it is an int32 in 1…V. Arrays over
items have V + 1 rows, and row 0 is not used.
"""

PAD = 0
"""Item id of an empty position; never a track."""


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
