"""A report as words, terminal tables, plots and pages."""
