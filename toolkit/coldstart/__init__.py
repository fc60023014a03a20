"""Rankers of unplayed tracks and artists by content."""
