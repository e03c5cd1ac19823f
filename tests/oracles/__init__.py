"""Slow, obvious versions of what mlbench computes fast."""
