"""Rankers of the papers, with shared networks and computations."""
