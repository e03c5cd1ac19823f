"""Models' cards on the Hugging Face hub: read, and written with the figures of reports."""
