"""Sequential models over ids and content, trained at every position of flat playlists."""
