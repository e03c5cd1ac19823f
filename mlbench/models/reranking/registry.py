"""The registry of rerankers: find one by name, file or folder; load nothing but that one.

A SPEC is a Python file and a factory in it (``path/to/file.py:factory``), an importable one
(``python:package.module:factory``), the folder of a CrossEncoder, the name of one on the hub
(``ORG/NAME``), a kind and its value (``rerank:MODEL``), or a model file that names one such.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from mlbench.common.errors import Fault, ModelError, UsageError
from mlbench.models import plugin
from mlbench.models.boundary import attribute, calling
from mlbench.models.endpoint.probes import PROBES
from mlbench.models.reranking.protocol import Reranker, ScoresPairs
from mlbench.models.reranking.scoring import checked

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache


class Kind(NamedTuple):
    """A kind of reranker that comes with mlbench; its ``factory``, in ``module``, takes the value,
    whether the network may not be used, and the embedding cache or None."""

    name: str
    module: str
    factory: str
    syntax: str
    help: str


KINDS = (
    Kind(
        "cross-encoder",
        "mlbench.models.reranking.cross_encoder",
        "from_spec",
        "FOLDER or ORG/NAME",
        "a CrossEncoder of sentence-transformers, in a folder or on the Hugging Face hub",
    ),
    Kind(
        "rerank",
        "mlbench.models.reranking.endpoint",
        "from_name",
        "rerank:MODEL",
        "a model of a server with /v1/rerank (OPENAI_BASE_URL and OPENAI_API_KEY)",
    ),
    Kind(
        "rerank",
        "mlbench.models.reranking.endpoint",
        "from_file",
        "path/to/model.toml",
        "a model of a server, with the options in a TOML file",
    ),
)
EXPECTED = (
    "the folder of a CrossEncoder, ORG/NAME, rerank:MODEL, a model file, path/to/file.py:factory, "
    "or an object with score_pairs(queries, passages)"
)
_FILE = re.compile(r"(?P<file>.+\.py):(?P<factory>[^\\/:]+)")
_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_CROSS_ENCODER, _ENDPOINT, _MODEL_FILE = KINDS


def load_reranker(
    reranker: object, *, offline: bool = False, cache: EmbeddingCache | None = None
) -> Reranker:
    """Return a reranker ready to score, from whatever names or is one.

    Raises UsageError for what is none, ModelError where its code or its files are not as they
    should be.
    """
    if isinstance(reranker, Reranker):
        return reranker
    if not isinstance(reranker, (str, os.PathLike)):
        return _of_object(reranker)
    spec = os.fspath(reranker)
    if match := _FILE.fullmatch(spec):
        return _of_code(spec, "file", plugin.from_file(spec, match["file"], match["factory"]))
    head, _, value = spec.partition(":")
    if head == "python" and value:
        module, _, factory = value.partition(":")
        return _of_code(spec, "python", plugin.from_module(spec, module, factory))
    row = _row_of(spec, head)
    if row is None:
        raise UsageError(Fault(f"reranker {spec}", "no such reranker", EXPECTED))
    return _built_in(row, spec, value if row is _ENDPOINT else spec, offline, cache)


def is_reranker(spec: str) -> bool:
    """Say whether what a SPEC names is known to be a reranker before any of it is loaded."""
    path = Path(spec)
    if spec.partition(":")[0] == _ENDPOINT.name:
        return True
    if path.suffix == ".toml" and path.is_file():
        from mlbench.models.reranking.options import names_a_server

        return names_a_server(path)
    if not path.is_dir():
        return False
    from mlbench.models.reranking.cross_encoder import is_folder_of_one

    return is_folder_of_one(path)


def _row_of(spec: str, head: str) -> Kind | None:
    if head == _ENDPOINT.name:
        return _ENDPOINT
    if Path(spec).suffix == ".toml" and Path(spec).is_file():
        return _MODEL_FILE
    return _CROSS_ENCODER if Path(spec).is_dir() or _HUB.fullmatch(spec) else None


def _built_in(
    kind: Kind, spec: str, value: str, offline: bool, cache: EmbeddingCache | None
) -> Reranker:
    if not value:
        raise UsageError(Fault(f"reranker {spec}", "no model named", kind.syntax))
    with calling(spec, "load"):
        factory = getattr(importlib.import_module(kind.module), kind.factory)
        adapter = factory(value, offline, cache)
    return _described(spec, kind.name, adapter, spec)


def _of_code(spec: str, kind: str, source: plugin.Factory) -> Reranker:
    adapter = plugin.build(spec, source, plugin.RERANKER)
    return _described(spec, kind, adapter, spec.rpartition(":")[2], source.identity)


def _of_object(value: object) -> Reranker:
    kind = type(value).__name__
    if isinstance(value, type):
        mend = f"create an object of it: {value.__name__}(...)"
        raise UsageError(Fault("reranker", f"the class {value.__name__}", EXPECTED, mend))
    if isinstance(value, ScoresPairs):
        where = f"reranker {kind}"
        plugin.refuse_other_signatures(value, where, EXPECTED, plugin.RERANKER)
        return _described(kind, "object", value, kind)
    if any(each.__name__ == "CrossEncoder" for each in type(value).__mro__):
        from mlbench.models.reranking.cross_encoder import CrossEncoderReranker

        return _described(kind, "object", CrossEncoderReranker(value), kind)
    raise UsageError(Fault("reranker", f"an object of type {kind}", EXPECTED))


def _described(spec: str, kind: str, adapter: Any, name: str, derived: str = "") -> Reranker:
    """Return a reranker as what it says of itself; ``name`` and ``derived`` (its identity) stand
    for what it does not say."""
    given = {key: attribute(spec, adapter, key, None) for key in ("name", "identity")}
    faults = [
        Fault(f"reranker {spec}, attribute {key}", repr(value), "a string that is not empty")
        for key, value in given.items()
        if value is not None and not (isinstance(value, str) and value.strip())
    ]
    if faults:
        raise ModelError(*faults)
    declared = given["identity"]
    seen = "" if declared else f", scores {_probed(spec, adapter)}"
    identity = f"declared: {declared}" if declared else f"derived: {derived or spec}{seen}"
    keeps = attribute(spec, adapter, "cacheable", False) is True and declared is not None
    return Reranker(spec, given["name"] or name, kind, adapter, identity, keeps)


def _probed(spec: str, adapter: Any) -> str:
    """Return a digest of the scores of fixed pairs, which tells two rerankers of one class apart.

    Raises ModelError where the reranker fails, or gives no finite score to each pair.
    """
    queries, passages = [PROBES[1]] * len(PROBES), [*PROBES]
    with calling(spec, "score_pairs"):
        value = adapter.score_pairs([*queries], [*passages])
    scores = checked(value, f"reranker {spec}, score_pairs", queries, passages)
    return f"sha256 {hashlib.sha256(scores.astype('<f4').tobytes()).hexdigest()}"
