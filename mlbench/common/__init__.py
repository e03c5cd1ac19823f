"""Errors and exit codes, files written whole or not at all, progress: what all packages use."""
