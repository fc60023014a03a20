"""Collectors of audio features, lyrics, covers and biographies, with one file per source."""
