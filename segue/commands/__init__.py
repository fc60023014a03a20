"""The built-in commands, one module each. They import what they call when they are called."""
