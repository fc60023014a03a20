"""Special ids and the shape letters used in comments and docstrings.

Shapes: B queries or playlists in a block · T positions · V tracks of the
catalogue (ids 1…V) · n rows · d dimensions of one modality · H hidden size ·
k length of a ranking · M modalities.

Ids: outside the corpus a track is a string (`spotify:track:…`, `local:…`);
inside it is an int32 in 1…V. Arrays over items have V + 1 rows, row 0 unused.
"""

PAD = 0
"""Item id of an empty position; never a track."""


def mask_id(n_items: int) -> int:
    """Item id of BERT4Rec's mask token: one past the last track, as in RecBole."""
    return n_items + 1
