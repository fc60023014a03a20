"""Metrics, one file each: a pure function over arrays, and the class for recipes and tables.

`toolkit.contracts.metric` describes the class. The entry-point group `segue.metrics` lists the metrics.
"""

from toolkit.evaluation.metrics.hits import hits
from toolkit.evaluation.metrics.map import average_precision_at
from toolkit.evaluation.metrics.ndcg import ndcg_at
from toolkit.evaluation.metrics.recall import recall_at

__all__ = ["average_precision_at", "hits", "ndcg_at", "recall_at"]
