"""Built-in joins, one in each file."""
