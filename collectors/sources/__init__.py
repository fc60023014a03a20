"""Sources, one per file, registered in the entry-point group `segue.collectors`."""
