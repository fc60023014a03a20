"""Metrics, statistics and one evaluator for every ranker."""
