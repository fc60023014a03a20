"""Stages of a run, each executed once.

The stages are ingest and collect, split and encode, fit and evaluate, attribution, tags, factor map, tables, map of
tracks, examples and report. `toolkit.pipeline.run.run_stages.STAGES` lists their order.
"""

from toolkit.pipeline.run.run_recipe import follow, run

__all__ = ["follow", "run"]
