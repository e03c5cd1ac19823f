"""mlbench where people already work: cards of models on the Hugging Face hub, and other tools."""
