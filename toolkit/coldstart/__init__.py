"""Ranking tracks and artists that nobody has played, by what they are."""
