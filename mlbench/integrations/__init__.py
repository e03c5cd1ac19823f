"""mlbench where people already work: models' cards on the Hugging Face hub, and MTEB."""
