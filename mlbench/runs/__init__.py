"""Runs: rankings in files, read, scored, fused, and written by a model for other tools."""
