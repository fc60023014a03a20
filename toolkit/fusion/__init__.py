"""Fusion of modality vectors into one item table."""
