"""Special ids and the shape letters used in comments and docstrings.

Shapes: B queries or playlists in a block · T positions · V tracks of the
catalogue (ids 1…V) · n rows · d dimensions of one modality · H hidden size ·
k length of a ranking · M modalities.

Ids: outside the corpus a track is a string (`spotify:track:…`, `local:…`);
inside it is an int32 in 1…V. Arrays over items have V + 1 rows, row 0 unused.
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
"""The columns of field `audio_features`, in this order: loudness in dB, tempo in beats a minute, key 0…11, mode 0 or 1, the others 0…1."""
