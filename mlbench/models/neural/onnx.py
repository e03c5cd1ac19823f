"""ONNX exports of encoders, run by onnxruntime and tokenizers alone, without torch.

The folder is that of a checkpoint: what it says of tokens, pooling, prompts and similarity holds.
Texts are padded on the right, whatever the tokenizer says, so that each keeps the positions that
it has alone.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, Fault, ModelError, UsageError, install_extra
from mlbench.models.boundary import difference
from mlbench.models.neural.card import card_languages
from mlbench.models.neural.checkpoint import Checkpoint
from mlbench.models.neural.forms import PROBES, cut
from mlbench.models.neural.forward import BUDGETS, GPU_BUDGET, Floats
from mlbench.models.neural.graphs import read_graph
from mlbench.models.neural.load import digest, similarity_of
from mlbench.models.neural.numeric import TOKENS, VECTOR, Pooling, steps_of
from mlbench.models.neural.options import NeuralOptions
from mlbench.models.neural.padding import ROUNDING
from mlbench.models.neural.prompts import ROLES, choose_prompts, prompt_notes
from mlbench.models.neural.session import Session, choose_device
from mlbench.models.neural.tokenizing import Settings, Tokens
from mlbench.models.protocol import Truncation

VERSION = "onnx/1"
LIBRARIES = ("onnxruntime", "tokenizers")
TOGETHER, EQUAL, ALONE = "", "equal lengths", "alone"
"""Which texts may share a batch: any, those of one length, none."""
_NOTES = {
    EQUAL: "padding changes its vectors, so mlbench encodes only texts of equal length together",
    ALONE: "its vectors depend on what else is in a batch, so mlbench encodes each text alone, "
    "which is slower",
}
_MAKES_VECTORS = (
    "its ONNX file makes the vectors itself; no module of the folder is applied to them"
)


def check_onnx(options: NeuralOptions) -> None:
    """Raise EnvironmentFault where a library is not installed that ONNX files need, UsageError for
    options that have no meaning for them."""
    needed = (*LIBRARIES, "safetensors")
    lacking = [name for name in needed if importlib.util.find_spec(name) is None]
    if lacking:
        found = f"not installed: {', '.join(lacking)}"
        raise EnvironmentFault(Fault("ONNX models", found, mend=install_extra("onnx")))
    kind = options.device[0].partition(":")[0] if options.device else "cpu"
    reasons = {
        "--dtype": (options.dtype, "an ONNX file has its own; --onnx-file chooses another file"),
        "--trust-remote-code": (options.trust_remote_code, "nothing: no code of a model is run"),
        "--allow-pickle": (options.allow_pickle, "nothing: no pickle is opened"),
        "--device": (len(options.device) > 1 or kind not in ("cpu", "cuda"), "cpu, cuda or cuda:N"),
    }
    faults = [
        Fault(f"option {name}", "cannot be used with --backend onnx", expected)
        for name, (given, expected) in reasons.items()
        if given
    ]
    if faults:
        raise UsageError(*faults)


@dataclass(frozen=True)
class _Prompts:
    """A model's own prompts; ``prompts`` asks them as it asks the library's model."""

    prompts: dict[str, str]
    default_prompt_name: str | None

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> _Prompts:
        """Read config_sentence_transformers.json; the library fills in an empty one a role."""
        own = {name: text or "" for name, text in (said.get("prompts") or {}).items()}
        return cls({"query": "", "document": ""} | own, said.get("default_prompt_name"))

    def encode_query(self, inputs: Any) -> None:
        """Ask what the library's method of this name asks of ``encode``."""
        _ask(self, ("query",))

    def encode_document(self, inputs: Any) -> None:
        """Ask what the library's method of this name asks of ``encode``."""
        _ask(self, ("document", "passage", "corpus"))


def _ask(recorder: Any, names: Sequence[str]) -> None:
    recorder.encode(prompt_name=next((n for n in names if n in recorder.prompts), None))


class Onnx:
    """An ONNX export: float32 (n, d) vectors. It is loaded when the first text is to be read."""

    language_free = True
    cacheable = True

    def __init__(self, checkpoint: Checkpoint, name: str, options: NeuralOptions) -> None:
        self.name = name
        self.similarity = similarity_of(checkpoint, options)
        self._checkpoint, self._given = checkpoint, options
        self._notes = [f"run by onnxruntime from {checkpoint.graph}"]
        settings = Settings.of(checkpoint)
        own = _Prompts.of(checkpoint.settings)
        self.prompts = choose_prompts(own, options)
        self._steps = [*steps_of(checkpoint)]
        self._pooling = self._pool(settings)
        self._length = settings.length(options.max_length, self._notes)
        self._truncate_dim = options.truncate_dim or checkpoint.settings.get("truncate_dim")
        self._notes += prompt_notes(own, checkpoint, options, self.prompts)
        self._tokens = Tokens(settings, self._length)
        self._graph = read_graph(checkpoint.folder / checkpoint.graph)
        chosen = {
            "similarity": self.similarity,
            "pooling": self._pooling.removesuffix(" (assumed)"),
            "max_length": self._length,
            "truncate_dim": self._truncate_dim,
            "backend": "onnx",
        }
        self.identity = f"{VERSION}, sha256 {digest(checkpoint, self.prompts, chosen)}"
        self.options = chosen | {"versions": _versions()}

    def _pool(self, settings: Settings) -> str:
        """Choose the pooling as the options or the folder say; return its name."""
        wanted = self._given.pooling
        places = [n for n, step in enumerate(self._steps) if isinstance(step, Pooling)]
        if self._checkpoint.layout == "transformers":
            classes = settings.config.get("architectures") or [""]
            causal = str(classes[0]).endswith("ForCausalLM")
            last = causal and settings.config.get("is_causal") is not False
            self._steps.insert(0, Pooling([wanted or ("lasttoken" if last else "mean")]))
            places = [0]
        elif wanted and len(places) != 1:
            found = f"the model has {plural(len(places), 'pooling module')}"
            raise UsageError(Fault(f"option --pooling {wanted}", found))
        elif wanted:
            self._steps[places[0]] = Pooling([wanted])
        modes = [mode for n in places for mode in self._steps[n].modes]  # type: ignore[attr-defined]
        assumed = self._checkpoint.layout == "transformers" and not wanted
        return ("+".join(modes) or "none") + " (assumed)" * assumed

    @cached_property
    def _session(self) -> Session:
        return Session(self._checkpoint, self._tokens, self._device)

    @cached_property
    def _device(self) -> str:
        return choose_device(self._given)

    @property
    def _makes_vectors(self) -> bool:
        """Whether the vectors are taken as the file gives them: where it gives no token vectors, or
        the folder does not say what to do with these."""
        session = self._session
        told = self._checkpoint.layout != "transformers" or self._given.pooling
        return not session.tokens or bool(session.vectors and not told)

    @cached_property
    def _company(self) -> str:
        """Which texts may share a batch: as few conditions as leave the vectors what they are."""
        if self._graph.dynamic:
            return ALONE
        rows = [*dict.fromkeys(self._tokens.rows(PROBES))]
        alone = np.concatenate([self._vectors("query", [row]) for row in rows])
        allowed = ROUNDING.get(self._graph.dtype, ROUNDING["float32"])
        if difference(alone, self._vectors("query", rows)) <= allowed:
            return TOGETHER
        pairs = [[row, np.frombuffer(row, np.int32)[::-1].tobytes()] for row in rows]
        equal = np.concatenate([self._vectors("query", pair)[:1] for pair in pairs])
        return EQUAL if difference(alone, equal) <= allowed else ALONE

    @property
    def _budget(self) -> int:
        kind = self._device.partition(":")[0]
        return self._given.batch_tokens or BUDGETS.get(kind, GPU_BUDGET)

    def encode_queries(self, texts: list[str], language: str) -> Floats:
        """Return the vectors of queries; the language is not looked at."""
        return self.encode_forms("query", self.canonical("query", texts))

    def encode_passages(self, texts: list[str], language: str) -> Floats:
        """Return the vectors of passages; the language is not looked at."""
        return self.encode_forms("passage", self.canonical("passage", texts))

    def canonical(self, role: str, texts: list[str]) -> list[bytes]:
        """Return the token ids of each text, int32, after prompt and truncation."""
        return self._tokens.rows([self.prompts[role] + text for text in texts])

    def encode_forms(self, role: str, forms: list[bytes]) -> Floats:
        """Return the vectors of what ``canonical`` gave, each set of token ids encoded once."""
        place = {row: number for number, row in enumerate(dict.fromkeys(forms))}
        longest = sorted(place, key=lambda row: (-len(row), row))
        parts = [self._vectors(role, longest[part]) for part in self._cut(longest)]
        if not parts:
            return np.empty((0, self._vectors(role, self._tokens.rows(["a"])).shape[1]), np.float32)
        at = {row: number for number, row in enumerate(longest)}
        found: Floats = np.concatenate(parts)[[at[row] for row in forms]]
        return found

    def batch_sizes(self, role: str, forms: Sequence[bytes]) -> list[int]:
        """Return how many of these, longest first, are encoded at once; see ``protocol``."""
        return [part.stop - part.start for part in self._cut(forms)]

    def _cut(self, rows: Sequence[bytes]) -> Iterator[slice]:
        budget = 1 if self._company == ALONE else self._budget
        return cut([len(row) // 4 for row in rows], budget, equal=self._company == EQUAL)

    def _vectors(self, role: str, rows: Sequence[bytes]) -> Floats:
        """Return the vectors of a batch; where memory does not suffice, half of it at a time.

        Raises ModelError if it does not suffice for one text, UsageError for more dimensions than
        there are.
        """
        session = self._session
        try:
            features = session.run(rows)
        except MemoryError as error:
            if len(rows) > 1:
                half = len(rows) // 2
                parts = [self._vectors(role, part) for part in (rows[:half], rows[half:])]
                return np.concatenate(parts)
            found = f"out of memory on a text of {plural(len(rows[0]) // 4, 'token')}"
            mend = "give a smaller --max-length, or another --device"
            raise ModelError(Fault(f"device {self._device}", found, mend=mend)) from error
        if self._makes_vectors:
            vectors = features[session.vectors]
        else:
            features[TOKENS] = features[session.tokens]
            features["prompt"] = np.array(self._prompt_lengths[role])
            for step in self._steps:
                step(features)
            vectors = features[VECTOR]
        wanted = self._given.truncate_dim
        if wanted and wanted > vectors.shape[1]:
            found = f"the model has {plural(vectors.shape[1], 'dimension')}"
            raise UsageError(Fault(f"option --truncate-dim {wanted}", found))
        return np.ascontiguousarray(vectors[:, : self._truncate_dim], np.float32)

    @cached_property
    def _prompt_lengths(self) -> dict[str, int]:
        return {role: self._tokens.prompt_length(self.prompts[role]) for role in ROLES}

    def truncation(self, role: str, texts: list[str]) -> Truncation:
        """Count what the maximum length costs these texts, with prompts and special tokens."""
        sizes = np.array([len(row) // 4 for row in self.canonical(role, texts)], np.int64)
        total, length = int(sizes.sum()), self._length
        if length is None:
            return Truncation(0, 0, total)
        full = np.flatnonzero(sizes >= length)
        long = [self.prompts[role] + texts[place] for place in full]
        whole = [len(row) // 4 for row in self._tokens.rows(long, whole=True)]
        lost = np.array(whole, np.int64) - sizes[full]
        return Truncation(int((lost > 0).sum()), int(lost.sum()), total + int(lost.sum()))

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies."""
        return self._checkpoint.folder

    def describe(self) -> dict[str, Any]:
        """Return facts for the report."""
        notes, pooling = [*self._notes], self._pooling
        if self._makes_vectors:
            notes.append(_MAKES_VECTORS)
            pooling = "none"
        elif pooling.endswith("(assumed)"):
            notes.append(
                f"the folder does not say how token vectors become one: {pooling.split()[0]} "
                "pooling is taken; --pooling chooses another"
            )
        notes += [_NOTES[self._company]] if self._company in _NOTES else []
        return {
            "layout": self._checkpoint.layout,
            "parameters": self._graph.parameters,
            "max_length": self._length,
            "pooling": pooling,
            "truncate_dim": self._truncate_dim,
            "prompts": self.prompts,
            "dtype": self._graph.dtype,
            "device": self._device,
            "backend": "onnx",
            "languages": card_languages(self._checkpoint.folder),
            "batch_tokens": self._budget,
            "notes": notes,
            "versions": self.options["versions"],
        }


def _versions() -> dict[str, str]:
    return {name: str(importlib.import_module(name).__version__) for name in LIBRARIES}
