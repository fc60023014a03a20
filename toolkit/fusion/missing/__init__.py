"""Built-in policies for missing values, one in each file."""
