"""Exact scores and outranking counts: arrays in, counts out."""
