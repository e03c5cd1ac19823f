"""mlbench where people already work: cards on the Hugging Face hub, MTEB, MLflow and its like."""
