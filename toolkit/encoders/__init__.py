"""Encoders that turn modalities into vectors, with the encoder contract, registry and cache."""
