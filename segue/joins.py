"""How modalities are joined to one vector a track: `segue.joins.Gated()`."""
