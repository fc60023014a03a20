"""Base classes for plug-ins, one per module. Nothing here imports torch, so a recipe can be checked without it."""
