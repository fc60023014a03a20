"""Modalities to vectors: the encoder contract, its registry and cache, and the encoders."""
