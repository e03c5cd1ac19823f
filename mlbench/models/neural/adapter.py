"""Neural encoders, run by sentence-transformers: the adapter, and the ways to name a model."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench.common.errors import Fault, IntegrityError, UsageError
from mlbench.common.trust import refuse_untrusted
from mlbench.models.images import ROLE as IMAGES
from mlbench.models.neural.card import card_languages
from mlbench.models.neural.checkpoint import Checkpoint
from mlbench.models.neural.folder import inspect_folder
from mlbench.models.neural.forms import BLOCK, Form, TextForm
from mlbench.models.neural.forward import (
    Forward,
    Workers,
    ahead,
    default_budget,
    run_here,
)
from mlbench.models.neural.load import (
    Facts,
    Loaded,
    check_libraries,
    digest,
    facts_digest,
    load_model,
    similarity_of,
    versions,
)
from mlbench.models.neural.merging import with_base
from mlbench.models.neural.onnx import Onnx, check_onnx
from mlbench.models.neural.options import (
    TRUST,
    NeuralOptions,
    demands_of,
    override,
    parse_options,
    read_model_file,
)
from mlbench.models.neural.pictures import ImageForm, read_ahead
from mlbench.models.neural.prompts import ROLES
from mlbench.models.neural.vocabulary import known_rows
from mlbench.models.protocol import Truncation
from mlbench.ranking.vectors import Vectors, joined

if TYPE_CHECKING:
    from PIL.Image import Image

    from mlbench.models.cache import EmbeddingCache

CHUNK = 8192
"""Texts that are sorted and encoded together where no caller did so."""
VERSION = "sentence-transformers/1"
_UNTELLING = re.compile(r"checkpoint-\d+|model|final|best|last|\d+_\w+")


class Neural:
    """A checkpoint: its vectors, dense, sparse or of tokens, equal to the library's but for
    rounding; where padding changes the library's, to those that it gives each text alone.

    It is loaded at once, or where ``cache`` knows its facts, when the first text is to be read.
    ``canonical`` tokenises; its rows are held until it is called again for the role, so that no
    text is tokenised twice.
    """

    language_free = True
    cacheable = True

    def __init__(
        self,
        checkpoint: Checkpoint,
        name: str,
        options: NeuralOptions,
        cache: EmbeddingCache | None = None,
    ) -> None:
        self.name = name
        self.similarity = similarity_of(checkpoint, options)
        self._checkpoint, self._given = checkpoint, options
        self._facts = self._recall(cache)
        self.prompts = self._facts.prompts
        chosen = self._facts.chosen(self.similarity, options.backend)
        self.identity = f"{VERSION}, sha256 {digest(checkpoint, self.prompts, chosen)}"
        self.options = chosen | {"versions": versions(images=self._facts.images)}
        self._workers: Workers | None = None
        self._canonical: dict[str, dict[str, bytes]] = {role: {} for role in ROLES}

    def _recall(self, cache: EmbeddingCache | None) -> Facts:
        """Return the model's facts as the cache knows them, else load it, and keep them there.

        With code of the model's own they may follow from more than its files.
        """
        if cache is None or self._given.trust_remote_code:
            return self._loaded.facts
        about = facts_digest(self._checkpoint, self._given)
        known = cache.recall(about)
        if known is None:
            known = self._loaded.facts.to_bytes()
            cache.remember(about, known)
        return Facts.from_bytes(known)

    @cached_property
    def _loaded(self) -> Loaded:
        return load_model(self._checkpoint, self._given, self.similarity)

    @cached_property
    def _forward(self) -> Forward:
        """The model, ready to encode. Raises IntegrityError if it is not the one expected."""
        loaded = self._loaded
        facts = loaded.facts
        if differing := facts.differing(self._facts):
            raise IntegrityError(
                Fault(
                    f"model {self._checkpoint.folder}",
                    f"has another {', '.join(differing)} than the embedding cache has stored",
                    "the same as before, from the same files, options and libraries",
                    "mlbench cache clear, or --no-cache",
                )
            )
        self._facts = facts
        return Forward(loaded.model, loaded.forms, loaded.output)

    @property
    def granted_options(self) -> dict[str, bool]:
        """What the user's word allows this model, as options for a worker that loads it again."""
        return {name: getattr(self._given, name) for name in TRUST}

    @property
    def _devices(self) -> tuple[str, ...]:
        return self._given.device or (self._facts.device,)

    @property
    def _budget(self) -> int:
        return self._given.batch_tokens or default_budget(self._devices[0])

    def encode_queries(self, texts: list[str], language: str) -> Vectors:
        """Return the vectors of queries; the language is not looked at."""
        return self._encode("query", texts)

    def encode_passages(self, texts: list[str], language: str) -> Vectors:
        """Return the vectors of passages; the language is not looked at."""
        return self._encode("passage", texts)

    @property
    def takes_images(self) -> bool:
        """Whether the model encodes images, too."""
        return self._facts.images

    def encode_images(self, images: list[Image]) -> Vectors:
        """Return the vectors of images; while some are encoded, the next are read in threads."""
        form = self._forward.forms[IMAGES]
        if not isinstance(form, ImageForm):
            found = f"model {self.name} takes no images"
            raise TypeError(found)
        batches = read_ahead(form, self._loaded.model, images, self._budget)
        return joined([joined([*self._run()(IMAGES, [rows])]) for rows in ahead(batches)])

    def canonical(self, role: str, texts: list[str]) -> list[bytes]:
        """Return the token ids of each text, int32, after prompt and truncation."""
        rows = [row for block in self._tokenised(role, texts) for row in block]
        self._canonical[role] = dict(zip(texts, rows, strict=True))
        return rows

    def encode_forms(self, role: str, forms: list[bytes]) -> Vectors:
        """Return the vectors of what ``canonical`` gave, which may go on with other texts."""
        return self._chunk(role, forms)

    def batch_sizes(self, role: str, forms: Sequence[bytes]) -> list[int]:
        """Return how many of these, longest first, are encoded at once; see ``protocol``."""
        return [part.stop - part.start for part in self._cut(role, forms)]

    def _cut(self, role: str, rows: Sequence[bytes]) -> Iterator[slice]:
        return self._form(role).batches(rows, self._budget)

    def truncation(self, role: str, texts: list[str]) -> Truncation | None:
        """Count what the maximum length costs these texts, with prompts and special tokens.

        None where only the library knows the tokens (chat templates, say).
        """
        form, length = self._form(role), self._facts.lengths[role]
        if isinstance(form, TextForm):
            return None
        rows = [row for block in self._tokenised(role, texts) for row in block]
        sizes = np.array([form.tokens(row) for row in rows], np.int64)
        total = int(sizes.sum())
        if length is None:
            return Truncation(0, 0, total)
        full = np.flatnonzero(sizes >= length)
        with self._loaded.routes[role].uncut():
            whole = [
                form.tokens(row)
                for block in _blocks([texts[place] for place in full])
                for row in form.rows(self._loaded.model, block)
            ]
        lost = np.array(whole, np.int64) - sizes[full]
        return Truncation(int((lost > 0).sum()), int(lost.sum()), total + int(lost.sum()))

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies."""
        return self._checkpoint.folder

    def describe(self) -> dict[str, Any]:
        """Return facts for the report."""
        facts = self._facts
        return {
            "layout": self._checkpoint.layout,
            "parameters": facts.parameters,
            "max_length": max((n for n in facts.lengths.values() if n), default=None),
            "pooling": facts.pooling,
            "truncate_dim": facts.truncate_dim,
            "prompts": self.prompts,
            "dtype": facts.dtype,
            "device": ", ".join(self._devices),
            "backend": self._given.backend,
            "batch_tokens": self._budget,
            "routes": facts.routes,
            "languages": card_languages(self._checkpoint.folder),
            "notes": list(facts.notes),
            "versions": self.options["versions"],
        }

    def close(self) -> None:
        """End the worker processes, if there are any."""
        if self._workers is not None:
            self._workers.close()
            self._workers = None

    def _form(self, role: str) -> Form:
        return self._forward.forms[role]

    def _tokenised(self, role: str, texts: Sequence[str]) -> Iterator[list[bytes]]:
        """Yield the rows of CHUNK texts at a time; what ``canonical`` tokenised is not again."""
        known, form = self._canonical[role], self._form(role)
        model, first = self._loaded.model, self._loaded.routes[role].modules[0]
        where = f"model {self._checkpoint.folder}"
        for start in range(0, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            new = [text for text in part if text not in known]
            rows = (
                row
                for block in _blocks(new)
                for row in known_rows(form, model, block, first, where)
            )
            yield [known[text] if text in known else next(rows) for text in part]

    def _encode(self, role: str, texts: list[str]) -> Vectors:
        """Encode CHUNK texts at a time, while the next are tokenised."""
        parts = [self._chunk(role, rows) for rows in ahead(self._tokenised(role, texts))]
        if not parts:
            return self._loaded.output.nothing(self._loaded.routes[role].dimension or 0)
        return joined(parts)

    def _chunk(self, role: str, rows: list[bytes]) -> Vectors:
        """Encode in batches of like length, each set of token ids once."""
        place = {row: number for number, row in enumerate(dict.fromkeys(rows))}
        longest = sorted(place, key=lambda row: (-len(row), row))
        batches = [longest[part] for part in self._cut(role, longest)]
        vectors = joined([*self._run()(role, batches)])
        order = np.empty(len(longest), np.int64)
        order[[place[row] for row in longest]] = np.arange(len(longest))
        return vectors[order[[place[row] for row in rows]]]

    def _run(self) -> Callable[[str, Sequence[Sequence[bytes]]], Iterator[Vectors]]:
        """Return what encodes batches: this process, or one for each device."""
        if len(self._devices) == 1:
            return partial(run_here, self._forward)
        if self._workers is None:
            self._workers = Workers(self.name, self._forward, self._devices)
        return self._workers.run


def _blocks(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    return (texts[start : start + BLOCK] for start in range(0, len(texts), BLOCK))


def from_folder(
    value: str, given: Mapping[str, Any], cache: EmbeddingCache | None = None
) -> Neural | Onnx:
    """Return the model of a checkpoint folder. ``given`` are options of the command line."""
    return _open(Path(value), parse_options(given), cache)


def from_hub(
    value: str, given: Mapping[str, Any], cache: EmbeddingCache | None = None
) -> Neural | Onnx:
    """Return a model of the hub, "ORG/NAME", downloaded if it is not in the hub's cache."""
    return _fetch(value, parse_options(given), cache)


def from_file(
    value: str, given: Mapping[str, Any], cache: EmbeddingCache | None = None
) -> Neural | Onnx:
    """Return the model that a model file describes; ``given`` options go before its own.

    Raises UsageError, too, where the file asks for code to be run and ``given`` does not.
    """
    path = Path(value)
    file = read_model_file(path)
    parse_options(given)
    demands = demands_of(path, file)
    options = parse_options(override(file.values, given), str(path))
    refuse_untrusted(each for each in demands if not given.get(each.field))
    if file.folder is None:
        return _fetch(file.hub, options, cache)
    if not file.folder.is_dir():
        raise UsageError(Fault(f"{path}, field path", f"no such folder: {file.folder}"))
    return _open(file.folder, options, cache)


def from_onnx(
    value: str, given: Mapping[str, Any], cache: EmbeddingCache | None = None
) -> Neural | Onnx:
    """Return the model of an ONNX export: of a folder, else of the hub."""
    given = {**given, "backend": "onnx"}
    return (from_folder if Path(value).is_dir() else from_hub)(value, given, cache)


def _fetch(repository: str, options: NeuralOptions, cache: EmbeddingCache | None) -> Neural | Onnx:
    check_installed(options)
    from mlbench.models.neural.hub import fetch

    return _build(fetch(repository, options), options, repository, cache)


def check_installed(options: NeuralOptions) -> None:
    """Raise EnvironmentFault where a library that is needed is not installed, UsageError for
    options that have no meaning for the backend."""
    if options.mteb_task:
        found = "given for a model that MTEB does not load"
        raise UsageError(Fault(f"option --mteb-task {options.mteb_task}", found, "mteb:NAME"))
    if options.backend == "onnx":
        check_onnx(options)
        return
    if options.onnx_file:
        found = f"given with --backend {options.backend}"
        raise UsageError(Fault(f"option --onnx-file {options.onnx_file}", found, "--backend onnx"))
    check_libraries(options.backend)


def _open(folder: Path, options: NeuralOptions, cache: EmbeddingCache | None) -> Neural | Onnx:
    if not folder.is_dir():
        raise UsageError(Fault(f"model {folder}", "no such folder", "a checkpoint's folder"))
    if options.revision is not None:
        raise UsageError(
            Fault("option --revision", "given for a folder", "a model from the hub, hub:ORG/NAME")
        )
    return _build(folder, options, folder_name(folder), cache)


def _build(
    folder: Path, options: NeuralOptions, name: str, cache: EmbeddingCache | None
) -> Neural | Onnx:
    checkpoint = with_base(inspect_folder(folder, options), options)
    check_installed(options)
    if options.backend == "onnx":
        return Onnx(checkpoint, options.name or name, options)
    return Neural(checkpoint, options.name or name, options, cache)


def folder_name(folder: Path) -> str:
    """Return a name for the model in a folder: the folder's, with its parent's if that says more.

    >>> folder_name(Path("/runs/xlmr-ft/checkpoint-500"))
    'xlmr-ft-checkpoint-500'
    """
    folder = folder.resolve()
    if _UNTELLING.fullmatch(folder.name) and folder.parent.name:
        return f"{folder.parent.name}-{folder.name}"
    return folder.name
