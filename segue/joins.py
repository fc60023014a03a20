"""How modalities are joined to one vector a track: `segue.joins.Gated()`, or its name, `join="gated"`."""

from toolkit.fusion.joins.concat import Concat as Concat
from toolkit.fusion.joins.gated import Gated as Gated
from toolkit.fusion.joins.sum import Sum as Sum
