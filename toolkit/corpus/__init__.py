"""Playlists as flat arrays: who plays which tracks together, and how that is split."""
