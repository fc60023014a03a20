"""A recipe's stages, each run once: ingest, encode, split, fit, evaluate, compare, examples, report."""

from toolkit.pipeline.run.run_recipe import follow, run

__all__ = ["follow", "run"]
