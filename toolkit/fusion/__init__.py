"""Modality vectors to one item table."""
