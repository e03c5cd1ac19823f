"""A real model in a streaming pass: tokenised beside the encoder, on one device or two."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from mlbench.evaluation import pipeline
from mlbench.evaluation.driver import stream
from mlbench.evaluation.evaluate import evaluate_held
from mlbench.evaluation.results import finish
from mlbench.models.protocol import FormEncoding
from mlbench.models.registry import LoadedModel, load_adapter
from mlbench.ranking.ranks import Ranks
from mlbench.reports.report import Report
from tests.evaluation.building import QUIET, at_once, pass_in, records, streamed, task_of
from tests.support.reports import pair

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")


def counted(folder: Path, model: LoadedModel) -> tuple[Report, Ranks]:
    partial = stream(task_of(), streamed(records(1)), model, QUIET, pass_in(folder))
    return pair(finish(partial, quiet=True))


def test_a_pass_gives_what_a_run_in_memory_gives_but_for_rounding(
    full_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "BLOCK", 16)
    report, ranks = counted(tmp_path, load_adapter(str(full_folder)))
    expected, table = pair(
        evaluate_held(task_of(), at_once(records(1)), load_adapter(str(full_folder)), QUIET)
    )
    assert report.task == expected.task
    assert report.model.identity == expected.model.identity
    assert report.model.prompts == {"query": "q: ", "passage": "passage: "}
    assert ranks.query_ids == table.query_ids
    differing = (ranks.above + ranks.tied) != (table.above + table.tied)
    assert differing.mean() < 0.02
    assert report.scores.macro["multilingual"]["AP"].value == pytest.approx(
        expected.scores.macro["multilingual"]["AP"].value, abs=1e-3
    )
    assert report.run.truncated is not None
    assert report.run.truncated["query"] == expected.run.truncated["query"]  # type: ignore[index]


def test_two_devices_count_as_one(
    full_folder: Path,
    two_devices: LoadedModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pipeline, "BLOCK", 32)
    one = load_adapter(str(full_folder), {"batch_tokens": 100})
    _, expected = counted(tmp_path / "one", one)
    report, ranks = counted(tmp_path / "two", two_devices)
    assert report.model.device == "cpu, cpu"
    differing = (ranks.above + ranks.tied) != (expected.above + expected.tied)
    assert differing.mean() < 0.02
    assert len(multiprocessing.active_children()) == 2


def test_forms_are_encoded_as_their_texts_are(full_folder: Path) -> None:
    adapter = load_adapter(str(full_folder)).adapter
    assert isinstance(adapter, FormEncoding)
    texts = [f"text {number} {'long ' * (number % 5)}" for number in range(40)]
    for role, encode in (("query", adapter.encode_queries), ("passage", adapter.encode_passages)):
        forms = adapter.canonical(role, texts)
        np.testing.assert_allclose(adapter.encode_forms(role, forms), encode(texts, ""), atol=1e-6)
