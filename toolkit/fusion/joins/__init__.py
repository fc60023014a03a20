"""Joins: one file each."""
