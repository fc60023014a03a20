"""Collectors: one file per source of audio features, lyrics, covers and biographies."""
