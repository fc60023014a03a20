"""Continuation of playlists with a finished run, in several output formats."""

from toolkit.continuation.continuation import Continuation, Next

__all__ = ["Continuation", "Next"]
