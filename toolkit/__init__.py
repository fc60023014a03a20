"""segue continues playlists from who plays tracks together and from what the tracks are."""

__version__ = "0.1.0"
