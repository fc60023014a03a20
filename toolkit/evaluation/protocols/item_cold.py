"""`item_cold`: tracks are held out, and ranked for the playlists that hold them."""

from __future__ import annotations

from toolkit.evaluation.protocols.split_options import ColdTracks


class ItemCold(ColdTracks):
    """Holds out tracks, and ranks them for the playlists that contain them."""

    type: str = "item_cold"
