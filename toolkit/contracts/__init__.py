"""Base classes for plug-ins, one per module, without importing torch."""
