"""mlbench: benchmark retrieval within languages, across languages and over mixed languages.

>>> import mlbench
>>> report = mlbench.evaluate("char-ngram", "sample", progress=False)
>>> sorted(report.macro)
['crosslingual', 'monolingual', 'multilingual']
"""

import importlib

TYPE_CHECKING = False  # the module typing is not imported before __main__ has looked at sys.path
if TYPE_CHECKING:
    from mlbench.common.errors import MlbenchError
    from mlbench.comparing.compare import compare
    from mlbench.comparing.regression import check
    from mlbench.data.catalog import list_tasks
    from mlbench.data.suite import list_suites
    from mlbench.evaluation.evaluate import evaluate
    from mlbench.evaluation.evaluate_suite import evaluate_suite
    from mlbench.evaluation.loading import load_collection
    from mlbench.evaluation.options import Options, Streaming
    from mlbench.evaluation.tasks import load_task
    from mlbench.evaluation.vectors import evaluate_vectors
    from mlbench.integrations.cards.writing import write_card
    from mlbench.models.objects import load_model
    from mlbench.models.registry import list_models
    from mlbench.ranking.ranks_file import read_ranks
    from mlbench.reports.report import Report, read_report
    from mlbench.training.trainer import train

__version__ = "0.2.0"

_PLACES = {
    "MlbenchError": "common.errors",
    "Options": "evaluation.options",
    "Report": "reports.report",
    "Streaming": "evaluation.options",
    "check": "comparing.regression",
    "compare": "comparing.compare",
    "evaluate": "evaluation.evaluate",
    "evaluate_suite": "evaluation.evaluate_suite",
    "evaluate_vectors": "evaluation.vectors",
    "load_collection": "evaluation.loading",
    "list_models": "models.registry",
    "list_suites": "data.suite",
    "list_tasks": "data.catalog",
    "load_model": "models.objects",
    "load_task": "evaluation.tasks",
    "read_ranks": "ranking.ranks_file",
    "read_report": "reports.report",
    "train": "training.trainer",
    "write_card": "integrations.cards.writing",
}
"""Where each public name is; it is imported when it is first asked for."""

__all__ = [
    "MlbenchError",
    "Options",
    "Report",
    "Streaming",
    "check",
    "compare",
    "evaluate",
    "evaluate_suite",
    "evaluate_vectors",
    "list_models",
    "list_suites",
    "list_tasks",
    "load_collection",
    "load_model",
    "load_task",
    "read_ranks",
    "read_report",
    "train",
    "write_card",
]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module 'mlbench' has no attribute {name!r}")
    importlib.import_module("mlbench.common.user_folders").lend_folders()
    value: object = getattr(importlib.import_module(f"mlbench.{_PLACES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
