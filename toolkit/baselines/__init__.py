"""Simple and stock rankers to be compared with."""
