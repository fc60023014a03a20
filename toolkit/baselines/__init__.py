"""Simple rankers and stock models for comparison."""
