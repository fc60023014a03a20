"""Runs recipes.

The stages of a run, each done once: ingest and collect, split and encode, fit and evaluate, attribution, tags, factor
map, tables, map of tracks, examples, report. They are listed in `toolkit.pipeline.run.run_recipe.STAGES`.
"""

from toolkit.pipeline.run.run_recipe import follow, run

__all__ = ["follow", "run"]
