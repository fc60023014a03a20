"""Playlists as flat arrays, and their splits."""
