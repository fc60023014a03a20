"""Evaluation: metrics, statistics and a common evaluator for all rankers."""
