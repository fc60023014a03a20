"""The built-in commands, one module each; what they call is imported when they are called."""
