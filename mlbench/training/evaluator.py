"""An evaluator for anybody's training: ``mlbench.evaluate`` on a sample of a task's questions."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sentence_transformers.base.evaluation import BaseEvaluator

import mlbench
from mlbench.data.sources import in_shards
from mlbench.data.task import Kind, Task
from mlbench.evaluation.choices import streams
from mlbench.evaluation.options import Options
from mlbench.reports.report import Report

OUTRANKING, DISTANCE = "same_language_outranking", "rank_distance"


class RetrievalEvaluator(BaseEvaluator):  # type: ignore[misc]
    """Evaluates a model in training within languages, across them and over all of them mixed.

    Give it to a ``SentenceTransformerTrainer`` as ``evaluator``. ``questions`` are drawn from the
    task once, the same for every evaluation; None takes all. ``passages`` is how many passages of
    each language are searched beside the judged ones; None takes all. Of a task in shards all
    questions and passages are taken. ``languages`` and ``options`` are those of
    ``mlbench.evaluate``. The figures are named like ``xquad-r_multilingual_AP``, and where a task
    has directions, also like ``emoji-images_text-to-image_Success@1``; those of language bias are
    ``xquad-r_rank_distance`` (lower is better) and ``xquad-r_same_language_outranking`` (1 is
    unbiased). The primary metric is the task's first measure in the multilingual setting, or in
    the last that the task has.

    Raises UsageError where ``passages`` or ``languages`` are given for a task in shards.
    """

    def __init__(
        self,
        task: str | Path | Task,
        questions: int | None = 100,
        passages: int | None = None,
        languages: Sequence[str] | None = None,
        options: Options | None = None,
    ) -> None:
        super().__init__()
        self.task, options = mlbench.load_task(task), options or Options(progress=False)
        drawn = None if options.streaming.always or in_shards(self.task) else questions
        changes: dict[str, Any] = {"sample_questions": drawn, "sample_passages": passages}
        if languages is not None:
            changes["languages"] = tuple(languages)
        self.options = replace(options, cache=None, **changes)
        streams(self.task, self.options)  # refuses what does not go together
        self.name = self.task.name
        self.report: Report | None = None

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the figures of the model; the whole report is ``self.report`` afterwards.

        They are also added to a CSV file in ``output_path``.
        """
        self.report = mlbench.evaluate(model, self.task, self.options)
        figures = self.prefix_name_to_metrics(self._figures(self.report), self.name)
        card = getattr(self, "store_metrics_in_model_card_data", None)
        if card is not None and hasattr(model, "model_card_data"):
            card(model, figures, max(epoch, 0), max(steps, 0))
        if output_path is not None:
            self._write(Path(output_path), figures, epoch, steps)
        return dict(figures)

    def get_config_dict(self) -> dict[str, Any]:
        """Return what the model card says of the evaluator."""
        return {"task": self.name, "questions": self.options.sample_questions}

    def _figures(self, report: Report) -> dict[str, float]:
        headline = report.measures[0]
        found = {
            f"{kind}_{headline}": of_kind[headline]
            for kind, of_kind in report.macro.items()
            if headline in of_kind
        }
        kinds = [kind.value for kind in Kind if f"{kind.value}_{headline}" in found]
        self.primary_metric = f"{kinds[-1]}_{headline}" if kinds else next(iter(found))
        for direction, of_direction in report.scores.directions.items():
            if headline in of_direction:
                found[f"{direction}_{headline}"] = of_direction[headline].value
        bias = report.scores.bias
        if bias.rank_distance is not None:
            found[DISTANCE] = bias.rank_distance.value
        if bias.same_language is not None:
            found[OUTRANKING] = bias.same_language
        return found

    def _write(self, folder: Path, figures: dict[str, float], epoch: int, steps: int) -> None:
        path = folder / f"mlbench_{self.name}_results.csv"
        folder.mkdir(parents=True, exist_ok=True)
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["epoch", "steps", *figures])
            writer.writerow([epoch, steps, *figures.values()])
