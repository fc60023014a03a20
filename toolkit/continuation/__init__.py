"""Continues playlists with a finished run, and writes the result in several formats."""

from toolkit.continuation.continuation import Continuation, Next

__all__ = ["Continuation", "Next"]
