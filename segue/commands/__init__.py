"""Built-in commands, one module each, which import their implementation only when called."""
