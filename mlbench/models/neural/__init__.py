"""Neural encoders: sentence-transformers and transformers checkpoints, encoded fast and safely."""
