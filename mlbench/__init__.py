"""mlbench: benchmark retrieval within, across and over mixed languages."""

__version__ = "0.1.0"
