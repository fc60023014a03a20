"""Metrics, one file each: a pure function over arrays, and the class by which recipes and tables know it.

`toolkit.contracts.metric` says what such a class declares; the entry-point group `segue.metrics` lists them.
"""

from toolkit.evaluation.metrics.hits import hits
from toolkit.evaluation.metrics.map import average_precision_at
from toolkit.evaluation.metrics.ndcg import ndcg_at
from toolkit.evaluation.metrics.recall import recall_at

__all__ = ["average_precision_at", "hits", "ndcg_at", "recall_at"]
