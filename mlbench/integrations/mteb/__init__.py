"""MTEB: tasks of mlbench as its tasks, its results as reports, and reports as its results."""

from mlbench.integrations.mteb.retrieval_tasks import tasks
from mlbench.integrations.mteb.writing import task_results

__all__ = ["task_results", "tasks"]
