"""Datasets that segue generates: playlists whose truth is known."""
