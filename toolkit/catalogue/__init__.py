"""What the tracks are: the catalogue store, its blobs, and readers of playlist files."""
