"""Entries: their schema, where their files stand, and how those of strangers are read."""
