"""Catalogue store for tracks, blob storage and readers for playlist files."""
