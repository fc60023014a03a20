"""Streaming readers for playlist formats, with one file per format."""
