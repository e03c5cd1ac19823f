"""Tools that track experiments: finished reports logged to MLflow, W&B or TensorBoard."""

from mlbench.integrations.tracking.tools import track

__all__ = ["track"]
