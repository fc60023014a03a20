"""Protocol `artist_disjoint`, which holds out artists with all their tracks."""

from __future__ import annotations

from typing import ClassVar

from toolkit.evaluation.protocols.split_options import ColdTracks


class ArtistDisjoint(ColdTracks):
    """Holds out artists with all their tracks and ranks these tracks for the playlists that contain them."""

    type: str = "artist_disjoint"
    by_artist: ClassVar[bool] = True
