"""A recipe's stages, each run once: ingest, encode, split, fit, evaluate, compare, examples, report."""

from toolkit.pipeline.order import follow, run

__all__ = ["follow", "run"]
