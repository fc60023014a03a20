"""The demo catalogue: tracks, playlists and four modalities drawn from a story whose truth is known.

Everything in it is written or rendered here; nothing is downloaded. Because
the story is known, so is the best ranking anyone can reach
(`segue.datasets.demo.upper_bound`).
"""
