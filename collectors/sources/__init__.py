"""One file a source; found by the entry-point group `segue.collectors`."""
