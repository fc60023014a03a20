"""Tables and report page of a run."""
