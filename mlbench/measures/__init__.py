"""Measures from the table of ranks: rank measures, language bias, intervals and tests."""
