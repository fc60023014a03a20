"""Joins combine the modalities of a track into one vector: `segue.joins.Gated()`, or by name, `join="gated"`."""

from toolkit.fusion.joins.concat import Concat as Concat
from toolkit.fusion.joins.gated import Gated as Gated
from toolkit.fusion.joins.sum import Sum as Sum
