"""Protocol `item_cold`, which holds out tracks and ranks them for the playlists that contain them."""

from __future__ import annotations

from toolkit.evaluation.protocols.split_options import ColdTracks


class ItemCold(ColdTracks):
    """Holds out tracks and ranks them for the playlists that contain them."""

    type: str = "item_cold"
