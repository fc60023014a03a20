"""Continuing a playlist with a finished run, and the formats its answer is written in."""

from toolkit.continuation.continuation import Continuation, Next

__all__ = ["Continuation", "Next"]
