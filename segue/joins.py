"""Joins, which combine the modalities of a track into one vector, such as `segue.joins.Gated()` or `join="gated"`."""

from toolkit.fusion.joins.concat import Concat as Concat
from toolkit.fusion.joins.gated import Gated as Gated
from toolkit.fusion.joins.sum import Sum as Sum
