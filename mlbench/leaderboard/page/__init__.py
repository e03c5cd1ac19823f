"""The standings shown: one page that needs nothing else, and the same as data."""
