"""Metrics, one per file, as a pure function over arrays and a class for recipes and tables.

The base class is in `toolkit.contracts.metric`, and the entry-point group `segue.metrics` lists the metrics.
"""

from toolkit.evaluation.metrics.hits import hits
from toolkit.evaluation.metrics.map import average_precision_at
from toolkit.evaluation.metrics.ndcg import ndcg_at
from toolkit.evaluation.metrics.recall import recall_at

__all__ = ["average_precision_at", "hits", "ndcg_at", "recall_at"]
