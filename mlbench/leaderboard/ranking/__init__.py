"""Standings: what entries score, and which differences between them can be told apart."""
