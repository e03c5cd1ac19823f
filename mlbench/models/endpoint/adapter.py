"""A model behind an endpoint that speaks as OpenAI's embeddings do (vLLM, TEI, Ollama, ...)."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mlbench.common.counts import plural
from mlbench.common.errors import Fault, IntegrityError, ModelError
from mlbench.common.trust import refuse_untrusted
from mlbench.models.endpoint.answers import in_order
from mlbench.models.endpoint.options import (
    ALIASES,
    KIND,
    EndpointOptions,
    demands_of,
    parse_options,
    read_endpoint_file,
)
from mlbench.models.endpoint.probes import PROBES, Floats, Probing
from mlbench.models.endpoint.served import Served
from mlbench.models.endpoint.server import Rejected
from mlbench.models.protocol import Tokens, Truncation

if TYPE_CHECKING:
    from mlbench.models.cache import EmbeddingCache

ROLES = ("query", "passage")
VERSION = f"{KIND}/1"
REQUEST_BYTES = 100_000
"""A request holds no more of texts, but for a single one: a token is a byte at least, and servers
take from 120,000 tokens a request."""
PATH = "embeddings"
_TOKENS = (
    (re.compile(r"[\0-\x7f]"), 0.25, 0.24),
    (re.compile(r"[\u0400-\u052f]"), 0.25, 0.53),
    (re.compile(r"[\u0600-\u06ff]"), 0.3, 0.82),
    (re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]"), 0.72, 1.3),
    (re.compile(r"."), 0.27, 1.05),
)
"""Characters, each of the first row that has it (ASCII, Cyrillic, Arabic, Han and Kana, others),
and how many tokens one is for either vocabulary."""

Wide = npt.NDArray[np.float64]


def estimate_tokens(texts: Sequence[str]) -> Tokens:
    """Estimate the tokens of texts by their characters.

    ``least`` is for a vocabulary made for many languages (that of XLM-R), ``most`` for one made for
    English first (``cl100k_base``, OpenAI's). Of the texts of XQuAD-R in each of its languages, the
    real numbers are within a quarter of these.

    >>> estimate_tokens(["Which river flows through the old town?"])
    Tokens(least=9, most=10)
    """
    rest, least, most = "\n".join(texts), 0.0, 0.0
    for characters, few, many in _TOKENS:
        rest, count = characters.subn("", rest)
        least, most = least + few * count, most + many * count
    return Tokens(*sorted((round(least), round(most))))


class Endpoint(Served[EndpointOptions]):
    """A model of a server: float64 (n, d) vectors, as they are in its answers."""

    language_free = True
    no_images = "an OpenAI-compatible server is sent texts only"

    def __init__(
        self,
        model: str,
        options: EndpointOptions,
        cache: EmbeddingCache | None = None,
        *,
        of_file: bool = False,
    ) -> None:
        super().__init__(model, f"model {KIND}:{model}", options, cache, of_file)
        self.similarity = options.similarity
        self.prompts = {role: getattr(options, f"{role}_prompt") or "" for role in ROLES}
        self._most_texts = options.batch_size
        self._dimension: int | None = None

    @property
    def identity(self) -> str:
        """The server is asked for the vectors of fixed texts where this is first needed."""
        return f"{VERSION}, sha256 {self._probing.identity}"

    @cached_property
    def _probing(self) -> Probing:
        settings = {role: [self.prompts[role], self._fields(role)] for role in ROLES}
        said = json.dumps([self._server.url, settings, self._given.max_characters], sort_keys=True)
        return Probing(said, self._probes, self._cache, self._given.dtype)

    def _probes(self, alone: bool) -> Floats:
        """Return the vectors of the probes as queries and as passages."""
        requests = [[text] for text in PROBES] if alone else [[*PROBES]]
        parts = [self._embed(role, texts) for role in ROLES for texts in requests]
        with np.errstate(over="ignore"):
            vectors: Floats = np.concatenate(parts).astype(np.float32)
        if not np.isfinite(vectors).all():
            self._refuse("NaN, infinity or a value too large for float32 in a vector")
        return vectors

    def _fields(self, role: str) -> dict[str, Any]:
        return self._given.of_role(role, self._model)

    def encode_queries(self, texts: list[str], language: str) -> Wide:
        """Return the vectors of queries; the language is not looked at."""
        return self._encode("query", texts)

    def encode_passages(self, texts: list[str], language: str) -> Wide:
        """Return the vectors of passages; the language is not looked at."""
        return self._encode("passage", texts)

    def confirm(self) -> None:
        """Raise IntegrityError where the model is no longer the one that it was at first."""
        apart = self._probing.apart()
        if apart:
            raise IntegrityError(
                Fault(
                    self._place,
                    f"has changed since the run began: the vectors of fixed texts differ by "
                    f"{apart:.2g} of their length",
                    "the same model from the beginning of a run to its end",
                    "run it again: it is another model now, and no vector of this run is used",
                )
            )

    def describe(self) -> dict[str, Any]:
        """Return facts for the report."""
        return {
            "prompts": self.prompts,
            "dtype": self._given.dtype or "not known",
            "notes": self._notes(),
        }

    def _notes(self) -> list[str]:
        asked = {role: self._fields(role) for role in ROLES}
        same = asked["query"] == asked["passage"]
        shown = {"texts": asked["query"]} if same else {"queries": asked["query"]}
        shown |= {} if same else {"passages": asked["passage"]}
        fields = " and ".join(
            f"{json.dumps(what, ensure_ascii=False, sort_keys=True)} for {texts}"
            for texts, what in shown.items()
        )
        notes = [f"encoded by the server at {self._server.url}, which was sent {fields}"]
        if self._probing.noisy:
            notes.append(
                "the server gives the same text slightly different vectors each time, so the "
                "scores of another run may differ a little"
            )
        return notes

    def tokens(self, role: str, texts: list[str]) -> Tokens:
        """Estimate the tokens that the server would be sent; it is not asked."""
        return estimate_tokens(self._inputs(role, texts))

    def truncation(self, role: str, texts: list[str]) -> Truncation | None:
        """Estimate what ``max_characters`` costs; None where what is cut is the server's choice."""
        if self._given.max_characters is None:
            return None
        inputs = self._inputs(role, texts)
        whole = [self.prompts[role] + text for text in texts]
        cut = sum(len(text) < len(uncut) for text, uncut in zip(inputs, whole, strict=True))
        tokens = estimate_tokens(whole).least
        return Truncation(cut, tokens - estimate_tokens(inputs).least, tokens)

    def _inputs(self, role: str, texts: Sequence[str]) -> list[str]:
        """Return what the server is sent of some texts."""
        return [(self.prompts[role] + text)[: self._given.max_characters] for text in texts]

    def _encode(self, role: str, texts: list[str]) -> Wide:
        if not texts:
            raise ModelError(Fault(self._where, "asked to encode no text", "one text or more"))
        batches = list(self._batches(texts))
        return np.concatenate(self._server.ask_all(partial(self._embed, role), batches))

    def _batches(self, texts: Sequence[str]) -> Iterator[Sequence[str]]:
        """Yield what one request holds."""
        start, size = 0, 0
        for place, text in enumerate(texts):
            bytes_ = len(text.encode())
            if start < place and (
                place - start >= self._most_texts or size + bytes_ > REQUEST_BYTES
            ):
                yield texts[start:place]
                start, size = place, 0
            size += bytes_
        yield texts[start:]

    def _embed(self, role: str, texts: Sequence[str]) -> Wide:
        """Return the vectors of texts from one request, or from halves of it where the server does
        not take so much at once."""
        body = {**self._fields(role), "input": self._inputs(role, texts)}
        try:
            answer = self._server.ask(PATH, body)
        except Rejected as refused:
            if len(texts) == 1:
                found = f"{refused.faults[0].found}\n  for the {role} {texts[0][:60]!r}"
                mend = "if it is too long, max_characters = N in a model file cuts all texts"
                expected = "a text that the server takes"
                raise Rejected(Fault(self._where, found, expected, mend)) from None
            half = (len(texts) + 1) // 2
            first = self._embed(role, texts[:half])
            self._most_texts = min(self._most_texts, half)
            return np.concatenate([first, self._embed(role, texts[half:])])
        return self._vectors(answer, len(texts))

    def _vectors(self, answer: Mapping[str, Any], count: int) -> Wide:
        """Return the vectors of an answer in the order of the texts."""
        items = in_order(answer, "data", count, ("vector", "text"), self._refuse)
        return np.stack([self._row(item.get("embedding")) for item in items])

    def _row(self, value: Any) -> Wide:
        row = _numbers(value)
        if row.ndim != 1 or row.dtype.kind not in "if":
            expected = "a list of numbers, or float32 in base64"
            self._refuse(f"a vector that is {_shown(value)}", expected)
        expected_size = self._dimension or self._given.dimensions or max(len(row), 1)
        if len(row) != expected_size:
            why = "as its first ones" if self._dimension else "as dimensions asks"
            self._refuse(
                f"a vector of {plural(len(row), 'dimension')}", f"{expected_size} of them, {why}"
            )
        self._dimension = len(row)
        return row.astype(np.float64)


def _numbers(value: Any) -> npt.NDArray[Any]:
    """Return the numbers of a list, or of little-endian float32 in base64; an array of another type
    or shape where it is something else."""
    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), "<f4")
        return np.array(value)
    except ValueError:  # no base64, or lists of different lengths
        return np.array(None)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        odd = next((v for v in value if type(v) not in (int, float)), None)
        return f"a list with {str(odd)[:40]!r}"
    return f"{value[:40]!r}" if isinstance(value, str) else f"a {type(value).__name__}"


def from_name(
    value: str, given: Mapping[str, Any], cache: EmbeddingCache | None = None
) -> Endpoint:
    """Return the model that the server of OPENAI_BASE_URL has under a name."""
    return Endpoint(value, parse_options(given), cache)


def from_file(
    value: str, given: Mapping[str, Any], cache: EmbeddingCache | None = None
) -> Endpoint:
    """Return the model that a model file describes; ``given`` options go before its own.

    Raises UsageError, too, where the file asks for a secret to be sent that it does not hold.
    """
    path = Path(value)
    file = read_endpoint_file(path)
    parse_options(given)
    refuse_untrusted(demands_of(path, file))
    given = {ALIASES.get(name, name): each for name, each in given.items()}
    options = parse_options({**file.values, **given}, str(path))
    return Endpoint(file.model, options, cache, of_file="base_url" not in given)
