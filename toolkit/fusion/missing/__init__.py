"""Missing-value policies: one file each."""
