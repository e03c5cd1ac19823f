"""Readers: one file a source format; they turn files into records and know nothing of models."""
