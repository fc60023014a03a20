"""One part of each kind that segue lets you add. Every module holds one part, and no module imports another."""
