"""Every kind of model tells what it costs: its speed by role, bytes, dimension and parameters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import mlbench
from mlbench.evaluation.speed import measure_speed
from mlbench.models.objects import load_model
from mlbench.reports.cost import cost_of
from tests.models.neural.encoders import DIMENSION, save_late, save_sparse
from tests.support.embedding_server import EmbeddingSite, embedding

OPTIONS = mlbench.Options(progress=False, cache=None, languages="de,en", sample_questions=12)

Make = Callable[[Path, Path], Path]


def static(bare: Path, folder: Path) -> Path:
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers.models import StaticEmbedding
    from tokenizers import Tokenizer

    table = StaticEmbedding(Tokenizer.from_file(str(bare / "tokenizer.json")), embedding_dim=16)
    library.SentenceTransformer(modules=[table], device="cpu").save(str(folder))
    return folder


KINDS: dict[str, tuple[Make, str, int | None]] = {
    "dense": (lambda bare, folder: bare, "dense", 32),
    "static": (static, "dense", 16),
    "late": (lambda bare, folder: save_late(bare, folder, None), "tokens", DIMENSION),
    "sparse": (save_sparse, "sparse", None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_folder_s_model_costs(bare_folder: Path, tmp_path: Path, kind: str) -> None:
    make, vectors, dimension = KINDS[kind]
    model = load_model(str(make(bare_folder, tmp_path / kind)))
    report = mlbench.evaluate(model, "sample", OPTIONS)
    cost, size = cost_of(report.model, report.run), report.model.sizes["passage"]
    assert cost.parameters
    assert dimension is None or cost.dimension == dimension
    assert cost.bytes is not None
    if vectors == "sparse":
        assert cost.bytes == pytest.approx(8 * size.coordinates, rel=1e-2)
    else:
        assert cost.bytes == pytest.approx(4 * size.vectors * report.model.dimension, rel=1e-2)
    assert (size.vectors > 2) is (vectors == "tokens")
    assert all(speed and speed > 0 for speed in cost.speeds.values())
    assert cost.peak_memory


@pytest.mark.parametrize("kind", ["late", "sparse"])
def test_the_speed_of_other_kinds_of_vectors(
    bare_folder: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlbench.evaluation.speed.LEAST_SECONDS", 0)
    model = load_model(str(KINDS[kind][0](bare_folder, tmp_path / kind)))
    found = measure_speed(model, 1).roles["passage"]
    assert found.tokens is not None
    assert found.tokens > 2
    assert (found.size.vectors > 2) is (kind == "late")
    assert found.texts_per_second > 0


def test_what_an_endpoint_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    with embedding(EmbeddingSite()) as site:
        monkeypatch.setenv("OPENAI_BASE_URL", site.address)
        model = load_model("openai:some-model")
        report = mlbench.evaluate(model, "sample", OPTIONS)
        cost = cost_of(report.model, report.run)
        assert (cost.parameters, cost.dimension, cost.bytes) == (None, 8, 32)
        assert all(cost.speeds.values())
        sent = len(site.texts)
        measure_speed(model, 2)
        assert len(site.texts) - sent == 704 * 3
