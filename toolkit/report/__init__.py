"""Tables and the page of a run."""
