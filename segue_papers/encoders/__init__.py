"""Encoders of the papers: of texts and of audio."""
