"""Rankers of the papers, and the networks and the mathematics that they share."""
