"""Models behind an endpoint that speaks as OpenAI's embeddings do."""
