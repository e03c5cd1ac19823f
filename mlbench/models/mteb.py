"""Models of MTEB by name, loaded and prompted by MTEB itself: ``mteb:NAME[@REVISION]``.

MTEB chooses a model's prompts by the task. An encoder of mlbench is told no task, so one stands for
all: a near one, "XQuADRetrieval" unless another is asked for. What it makes the model read is
recorded as far as it can be seen.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from mlbench.common.errors import (
    EnvironmentFault,
    Fault,
    MlbenchError,
    ModelError,
    UsageError,
    install_extra,
    nearest,
)
from mlbench.models.images import as_rgb
from mlbench.models.neural.options import NeuralOptions, parse_options
from mlbench.models.protocol import Truncation

if TYPE_CHECKING:
    from PIL.Image import Image

    from mlbench.models.cache import EmbeddingCache

TASK = "XQuADRetrieval"
"""The task whose prompts are taken: passages of Wikipedia and questions, in eleven languages."""
ROLES = {"query": "query", "passage": "document"}
"""What MTEB calls each role."""
KINDS = ("dense", "sparse", "late-interaction")
_OTHERS = {
    "cross-encoder": "a reranker, which reads a query and a passage together and gives no vectors",
    "hybrid": "several retrievers whose rankings are fused, which gives no vectors",
    "router": "a model that chooses another one for each task",
}
_OPTIONS = {"name", "revision", "similarity", "device", "offline", "trust_remote_code", "mteb_task"}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LIBRARIES = ("mteb", "sentence-transformers", "transformers", "torch")
_TRUSTING = re.compile(r"trust_remote_code\s*=\s*True")
_BATCH = 32
_MEDIA = re.compile(
    r"\s*(https?://|data:|file:).*"
    r"|.*\.(jpe?g|png|gif|bmp|webp|tiff?|svg|wav|mp3|flac|ogg|mp4|avi|mkv)\s*",
    re.IGNORECASE | re.DOTALL,
)
_LONGEST = 400


def from_name(
    value: str, given: Mapping[str, Any], cache: EmbeddingCache | None = None
) -> MtebModel:
    """Return a model of MTEB's registry; ``value`` is NAME or NAME@REVISION.

    Raises UsageError for a name, a revision or a task that MTEB does not know, or an option that
    has no meaning for its models; ModelError for models that give no vectors of texts, or ask to
    run code of their own; EnvironmentFault where MTEB, or what the model needs, is not installed.
    """
    refused = sorted(given.keys() - _OPTIONS)
    if refused:
        names = ", ".join("--" + name.replace("_", "-") for name in refused)
        taken = ", ".join("--" + name.replace("_", "-") for name in sorted(_OPTIONS))
        raise UsageError(Fault(f"model mteb:{value}", f"takes no {names}", taken))
    options = parse_options(given)
    if len(options.device) > 1:
        raise UsageError(Fault("option --device", "several devices", "one, for a model of MTEB"))
    if importlib.util.find_spec("mteb") is None:
        found = "the library mteb is not installed"
        raise EnvironmentFault(Fault(f"model mteb:{value}", found, mend=install_extra("mteb")))
    name, _, revision = value.partition("@")
    wanted = options.revision or revision or None
    return MtebModel(name, find_meta(name, wanted), find_task(options.mteb_task or TASK), options)


def find_meta(name: str, revision: str | None) -> Any:
    """Return what MTEB's registry says of a model. Raises UsageError, and ModelError for a kind of
    model that is no encoder of texts."""
    mteb = importlib.import_module("mteb")
    registry = importlib.import_module("mteb.models.model_implementations").MODEL_REGISTRY
    where = f"model mteb:{name}"
    try:
        meta = mteb.get_model_meta(name, fetch_from_hf=False)
    except KeyError:
        found = f"MTEB {mteb.__version__} knows no such model"
        mend = nearest(name, registry) or f"hub:{name}, if it is a model of the hub"
        raise UsageError(Fault(where, found, "the name of a model in MTEB", mend)) from None
    if revision and revision != meta.revision:
        found = f"MTEB {mteb.__version__} knows it at revision {meta.revision}, not {revision}"
        raise UsageError(Fault(where, found, f"mteb:{name}, or another version of MTEB"))
    other = next((kind for kind in meta.model_type if kind not in KINDS), None)
    if other is not None:
        what = _OTHERS.get(other, "a kind of model that mlbench does not know")
        raise ModelError(Fault(where, f"{other}: {what}", f"one of {', '.join(KINDS)}"))
    if "text" not in meta.modalities or meta.loader is None:
        found = f"a model of {', '.join(meta.modalities)}" if meta.loader else "it has no loader"
        raise ModelError(Fault(where, found, "an encoder of texts that MTEB can load"))
    return meta


def find_task(name: str) -> Any:
    """Return the metadata of a task of MTEB. Raises UsageError for one that it does not know."""
    mteb = importlib.import_module("mteb")
    try:
        return mteb.get_task(name).metadata
    except KeyError as error:
        found = f"MTEB {mteb.__version__} knows no such task"
        said = " ".join(str(error).split())[:_LONGEST]
        raise UsageError(
            Fault(f"option --mteb-task {name}", found, "a task of MTEB", said)
        ) from None


class MtebModel:
    """A model as MTEB loads and prompts it, for one task of MTEB."""

    language_free = True

    def __init__(self, name: str, meta: Any, task: Any, options: NeuralOptions) -> None:
        self._meta, self._task, self._given = meta, task, options
        self._where = f"model mteb:{name}"
        self.name = options.name or name
        self._notes: list[str] = []
        self.similarity = self._similarity()
        self._refuse_code()
        versions = self._versions()
        revision = str(meta.revision)
        self.identity = (
            f"mteb/1, {meta.name} at revision {revision}, prompts for {task.name} ({task.type}), "
            f"MTEB {versions['mteb']}"
        )
        self.cacheable = _COMMIT.fullmatch(revision) is not None
        if not self.cacheable:
            note = f"revision {revision!r} is no commit, so nothing says when its vectors change: "
            self._notes.append(note + "they are not kept in the embedding cache")
        self.options = {"task": task.name, "versions": versions}
        self._model = self._load()

    @staticmethod
    def _versions() -> dict[str, str]:
        return {name: metadata.version(name) for name in _LIBRARIES if _installed(name)}

    def _similarity(self) -> str:
        own = getattr(self._meta.similarity_fn_name, "value", None)
        if self._given.similarity:
            return self._given.similarity
        if own is None:
            self._notes.append("MTEB does not say how its vectors are compared: cosine is taken")
        return {"dot": "dot", "MaxSim": "dot"}.get(str(own), "cosine")

    def _refuse_code(self) -> None:
        """Raise ModelError for a model that runs code which comes with it, unless it may."""
        if self._given.trust_remote_code:
            return
        asks = bool((self._meta.loader_kwargs or {}).get("trust_remote_code"))
        loader = getattr(self._meta.loader, "func", self._meta.loader)
        for each in getattr(loader, "__mro__", (loader,)):
            with contextlib.suppress(OSError, TypeError):  # no source, or built in
                asks = asks or _TRUSTING.search(inspect.getsource(each)) is not None
        if asks:
            found = "MTEB loads it with trust_remote_code: Python code of the model would be run"
            mend = "read that code, then give --trust-remote-code if you trust it to run here"
            raise ModelError(Fault(self._where, found, "no code but the libraries' own", mend))

    def _load(self) -> Any:
        """Load the model. Raises ModelError for one that ranks by itself."""
        device = self._given.device[0] if self._given.device else None
        with self._telling("load"), _network(self._given.offline), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that its prompts take the place of the checkpoint's
            model = self._meta.load_model(device=device)
        if not callable(getattr(model, "encode", None)):
            found = "it ranks passages by itself and gives no vectors"
            raise ModelError(Fault(self._where, found, "a model with a method encode"))
        return model

    @contextlib.contextmanager
    def _telling(self, doing: str) -> Iterator[None]:
        """Say in our own words what a model lacks, and name MTEB in what else it raises."""
        try:
            yield
        except (MlbenchError, MemoryError):
            raise
        except ImportError as error:
            said = str(error).partition("\n")[0][:_LONGEST]
            needed = [*(self._meta.extra_requirements_groups or ())]
            needed += [each for each in self._meta.modalities if each != "text"]
            groups = ",".join(dict.fromkeys(needed))
            mend = f"pip install 'mteb[{groups}]'" if groups else "install them"
            raise EnvironmentFault(Fault(self._where, said, "what it needs", mend)) from error
        except OSError as error:
            said = " ".join(str(error).split())[:_LONGEST]
            mend = "download it where there is a network, or ask for access; see docs/models.md"
            raise EnvironmentFault(Fault(self._where, said, "a model at hand", mend)) from error
        except Exception as error:
            said = " ".join(str(error).split())[:_LONGEST]
            found = f"MTEB cannot {doing} it: {type(error).__name__}: {said}"
            raise ModelError(
                Fault(self._where, found, mend="--debug shows the whole traceback")
            ) from error

    def encode_queries(self, texts: list[str], language: str) -> Any:
        """Return the vectors of queries; the language is not looked at."""
        return self._encode("query", texts)

    def encode_passages(self, texts: list[str], language: str) -> Any:
        """Return the vectors of passages; the language is not looked at."""
        return self._encode("passage", texts)

    @property
    def takes_images(self) -> bool:
        """Whether the model encodes images, too."""
        return "image" in self._meta.modalities

    def encode_images(self, images: list[Image]) -> Any:
        """Return the vectors of images, for which MTEB is told no role."""
        with self._telling("encode images with"):
            return _as_vectors(self._give({"image": [*map(as_rgb, images)]}, None))

    def _encode(self, role: str, texts: list[str]) -> Any:
        """Return vectors, (n, d) or sparse (n, d), or a list of one array (tokens, d) a text."""
        self._refuse_media(texts)
        with self._telling("encode texts with"):
            return _as_vectors(self._ask(role, texts))

    def _ask(self, role: str, texts: list[str]) -> Any:
        kind = importlib.import_module("mteb.types").PromptType(ROLES[role])
        more = {"query": texts} if role == "query" else {"title": [""] * len(texts), "body": texts}
        return self._give({"text": texts} | more, kind)

    def _give(self, columns: dict[str, list[Any]], kind: Any) -> Any:
        """Return what the model gives for the rows of some columns, as MTEB has them."""
        from datasets import Dataset
        from torch.utils.data import DataLoader

        def batch(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
            return {name: [row[name] for row in rows] for name in columns}

        return self._model.encode(
            DataLoader(Dataset.from_dict(columns), batch_size=_BATCH, collate_fn=batch),
            task_metadata=self._task,
            hf_split="test",
            hf_subset="default",
            prompt_type=kind,
            batch_size=_BATCH,
            show_progress_bar=False,
        )

    def _refuse_media(self, texts: list[str]) -> None:
        """Raise ModelError for a text that a model of images, sound or video would open."""
        if {*self._meta.modalities} == {"text"}:
            return
        bad = next((text for text in texts if _MEDIA.fullmatch(text)), None)
        if bad is not None:
            found = f"the text {bad[:60]!r} looks like the address of a file"
            expected = "none, for its library opens images and the like that a text names"
            raise ModelError(Fault(self._where, found, expected))

    @cached_property
    def prompts(self) -> dict[str, str]:
        """The text that is put before the texts of each role, as it is seen to be; empty where it
        cannot be seen."""
        inner: Any = getattr(self._model, "model", None)
        if not callable(getattr(inner, "encode", None)) or not hasattr(inner, "prompts"):
            return {}
        seen: dict[str, str] = {}
        for role in ROLES:
            asked = _watched(inner, partial(self._encode, role, ["a"]))
            if asked is None:
                return {}
            name = asked.get("prompt_name") or inner.default_prompt_name
            prompt = asked.get("prompt")
            seen[role] = (inner.prompts.get(name) or "" if prompt is None else prompt) or ""
        return seen

    def truncation(self, role: str, texts: list[str]) -> Truncation | None:
        """Count what the maximum length costs these texts; None where that is not known."""
        inner = getattr(self._model, "model", None)
        length, tokenizer = (
            getattr(inner, "max_seq_length", None),
            getattr(inner, "tokenizer", None),
        )
        if not self.prompts or not isinstance(length, int) or not callable(tokenizer):
            return None
        given = [self.prompts[role] + text for text in texts]
        ids = tokenizer(given, truncation=False, verbose=False)["input_ids"]
        sizes = np.array([len(each) for each in ids], np.int64)
        lost = np.maximum(sizes - length, 0)
        return Truncation(int((lost > 0).sum()), int(lost.sum()), int(sizes.sum()))

    def describe(self) -> dict[str, Any]:
        """Return facts for the report."""
        inner: Any = getattr(self._model, "model", None)
        weights = [*inner.parameters()] if hasattr(inner, "parameters") else []
        length = getattr(inner, "max_seq_length", None)
        notes = [
            f"loaded by MTEB at revision {self._meta.revision}, with the prompts that MTEB gives "
            f"for {self._task.name} ({self._task.type})",
            *self._notes,
        ]
        if not self.prompts:
            notes.append(
                "what MTEB puts before a text cannot be seen: the prompts are not recorded"
            )
        return {
            "parameters": sum(each.numel() for each in weights) or self._meta.n_parameters,
            "max_length": length if isinstance(length, int) else None,
            "prompts": self.prompts,
            "dtype": str(weights[0].dtype).removeprefix("torch.") if weights else None,
            "device": str(inner.device) if hasattr(inner, "device") else None,
            "languages": [*map(str, self._meta.languages or ())],
            "notes": notes,
            "versions": self.options["versions"],
        }


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name.replace("-", "_")) is not None


def _watched(inner: Any, call: Any) -> dict[str, Any] | None:
    """Return what a call asks of the library's ``encode``; None if it does not ask it."""
    seen: list[dict[str, Any]] = []
    encode = inner.encode

    def recorded(*given: Any, **asked: Any) -> Any:
        seen.append(asked)
        return encode(*given, **asked)

    try:
        inner.encode = recorded
        call()
    finally:
        del inner.encode
    return seen[-1] if seen else None


@contextlib.contextmanager
def _network(offline: bool) -> Iterator[None]:
    """Let the hub's library, loaded or not, ask nothing meanwhile, if ``offline``."""
    if not offline:
        yield
        return
    constants: Any = importlib.import_module("huggingface_hub.constants")
    before, said = constants.HF_HUB_OFFLINE, os.environ.get("HF_HUB_OFFLINE")
    constants.HF_HUB_OFFLINE, os.environ["HF_HUB_OFFLINE"] = True, "1"
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        os.environ.pop("HF_HUB_OFFLINE")
        if said is not None:
            os.environ["HF_HUB_OFFLINE"] = said


def _as_vectors(value: Any) -> Any:
    """Return what a model of MTEB gives in float32: an array, a sparse matrix, or a list of arrays
    for token vectors. Whole numbers, as of quantised vectors, are taken as they are."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        if value.is_sparse or value.layout == torch.sparse_csr:
            from scipy import sparse

            cells = value.to_sparse_coo().coalesce().cpu()
            rows, columns = cells.indices().numpy()
            return sparse.csr_matrix((cells.values().float().numpy(), (rows, columns)), value.shape)
        value = value.detach().cpu().float().numpy()
    if isinstance(value, list | tuple):
        return [_as_vectors(each) for each in value]
    return np.asarray(value, np.float32)
