"""Layers between item vectors and hidden states, with one architecture per file."""
