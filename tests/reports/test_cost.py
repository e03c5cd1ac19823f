"""What a model costs, as a report tells it, and where a report cannot tell."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scipy import sparse

import mlbench
from mlbench.models import encoding
from mlbench.reports.cost import cost_facts, cost_line, cost_of, hardware_of, speed_of
from mlbench.reports.page import report_pages
from mlbench.reports.provenance import Encoded
from mlbench.reports.tables import terminal_text
from tests.support.letters import Letters
from tests.support.reports import example

QUIET = mlbench.Options(progress=False, cache=None)


@pytest.mark.parametrize(
    ("encoded", "speed"),
    [
        (Encoded(100, 80, 0, 4.0), 20),
        (Encoded(100, 80, 30, 5.0), 10),
        (Encoded(100, 80, 40, 5.0), None),  # half came from the cache
        (Encoded(100, 80, 80, 0.0), None),
        (Encoded(100, 80), None),
        (None, None),
    ],
)
def test_speed_is_that_of_texts_that_were_encoded(encoded, speed):
    assert speed_of(encoded) == speed


def test_hardware_in_words():
    run = example(2)[0].run
    assert hardware_of(run) == "some processor"
    gpus = ("NVIDIA H200", "NVIDIA H200")
    assert (
        hardware_of(replace(run, cores=16, gpus=gpus))
        == "some processor, 16 cores, 2 x NVIDIA H200"
    )


KINDS = {
    "char-ngram": (1024, 4096, 0),
    "random:1": (64, 256, 0),
    "bm25": (None, None, 0),
}


@pytest.mark.parametrize("spec", KINDS)
def test_every_baseline_tells_what_it_costs(spec):
    report = mlbench.evaluate(spec, "sample", QUIET)
    cost, (dimension, taken, parameters) = cost_of(report.model, report.run), KINDS[spec]
    assert cost.parameters == parameters
    if dimension:
        assert (cost.dimension, cost.bytes) == (dimension, taken)
    else:  # 8 bytes for each word of a passage
        size = report.model.sizes["passage"]
        assert cost.bytes == pytest.approx(8 * size.coordinates, rel=1e-3)
    total = sum(of.seconds for of in report.run.encoded.values())
    assert 0 < total <= report.run.seconds["encoding"] + 0.01
    for role, speed in cost.speeds.items():
        of = report.run.encoded[role]
        assert speed == pytest.approx(of.distinct / of.seconds)
    assert cost.peak_memory > 2**20
    assert cost.hardware.startswith(report.run.processor)


def test_the_seconds_are_those_of_the_role(monkeypatch):
    class Slow(Letters):
        def encode_queries(self, texts, language):
            now[0] += len(texts)
            return super().encode_queries(texts, language)

        def encode_passages(self, texts, language):
            now[0] += 2 * len(texts)
            return self.encode_queries(texts, language)

    now = [0.0]
    monkeypatch.setattr(encoding.time, "perf_counter", lambda: now[0])
    encoded = mlbench.evaluate(Slow(), "sample", QUIET).run.encoded
    assert {role: of.seconds / of.distinct for role, of in encoded.items()} == {
        "query": 1,
        "passage": 3,
    }


def test_late_interaction_and_sparse_vectors_have_their_bytes():
    class Sparse(Letters):
        def encode_queries(self, texts, language):
            return sparse.csr_matrix(super().encode_queries(texts, language))

        encode_passages = encode_queries

    class Late(Letters):
        def encode_queries(self, texts, language):
            return [
                super(Late, self).encode_queries(text.split() or [text], language) for text in texts
            ]

        encode_passages = encode_queries

    texts = mlbench.load_collection("sample").passages.texts
    letters = [len(set(text.encode())) for text in texts]
    found = mlbench.evaluate(Sparse(), "sample", QUIET)
    size = cost_of(found.model, found.run).bytes
    assert size == pytest.approx(8 * sum(letters) / len(texts), rel=1e-3)
    found = mlbench.evaluate(Late(), "sample", QUIET, languages="de,en")
    few = mlbench.load_collection("sample", languages="de,en").passages.texts
    words = [len(text.split()) for text in few]
    size = cost_of(found.model, found.run).bytes
    assert size == pytest.approx(4 * 256 * sum(words) / len(few), rel=1e-3)


def test_the_section_of_a_report():
    report, _ = example(2)
    run = replace(report.run, encoded={"query": Encoded(88, 80, 0, 2.0)}, cores=8, gpus=("H200",))
    told = replace(report, run=replace(run, peak_gpu_memory=2**31))
    facts = dict(cost_facts(told))
    assert facts["queries encoded a second"] == "40.0"
    assert "passages encoded a second" not in facts
    assert facts["parameters"] == "1.23M"
    assert facts["peak GPU memory"] == "2.00 GiB"
    assert facts["hardware"] == "some processor, 8 cores, H200"
    assert "Cost: queries encoded a second: 40.0;" in terminal_text(told, verbose=True)
    pages = report_pages(told, None)
    assert "## Cost" in pages["report.md"].decode()
    assert 'id="cost"' in pages["report.html"].decode()


def test_the_hardware_alone_is_no_cost():
    report, _ = example(2)
    bare = replace(
        report,
        model=replace(report.model, parameters=None, dimension=None),
        run=replace(report.run, encoded={}, peak_memory=None),
    )
    assert cost_facts(bare) == []
    assert cost_line(bare) == ""
    assert cost_of(bare.model, None).hardware == ""
