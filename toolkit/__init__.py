"""Implementation of segue: recipes, data, encoders, fusion, rankers, evaluation and reports."""

__version__ = "0.1.0"
