"""Layers between item vectors and hidden states, one architecture a file."""
