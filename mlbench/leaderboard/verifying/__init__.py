"""Entries held against their model: texts encoded again, and the table's ranks checked."""
