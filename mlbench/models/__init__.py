"""Models: the adapter protocol, the registry and one file a kind of model."""
