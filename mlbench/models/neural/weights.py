"""A checkpoint's weights against the model made of them: what it lacks, and what nothing reads.

transformers makes up at random what a checkpoint lacks, and leaves out what its model has no
place for; it only logs both, in a table of rows ``name | MISSING |``, in which ``{0, 1}`` and
``{0...11}`` stand for the numbers of layers.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from mlbench.common.errors import EnvironmentFault, Fault, MlbenchError, ModelError
from mlbench.models.cache import warn
from mlbench.models.neural.checkpoint import Checkpoint
from mlbench.models.neural.files import read_json, tensors
from mlbench.models.neural.folder import CONFIG_FILE
from mlbench.models.neural.kinds import CLASSIFIER, LATE, SCORER, Kind
from mlbench.models.neural.outputs import LATE as FAMILY_OF_TOKENS
from mlbench.models.neural.vocabulary import SAVE_TOKENIZER

_ROW = re.compile(r"^(\S.*?)\s*\|\s*(MISSING|MISMATCH|UNEXPECTED|CONVERSION)\b", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LOGGERS = ("transformers", "sentence_transformers")
_HALF_ON_CPU = re.compile(r"This model was loaded in torch\.(\w+) on CPU\b.*")
_HALF_NOTE = (
    r"its weights are \1, with which a CPU can be much slower than with float32: "
    "--dtype float32 would convert them"
)
_NAMED = 8
"""Tensors that a message names."""
_LONGEST = 500
"""Characters of a library's warning."""

_POOLER = re.compile(r"\bpooler\b")
"""The transformers library's own pooler, which is read only where a Transformer says so."""
_ADAPTER = re.compile(
    r"(^|\.)(lora_\w+|base_layer|base_model\.model|modules_to_save|ia3_\w+)(\.|$)"
)
_LAYER = re.compile(r"\{[^}]*\}|(?<=\.)\d+(?=\.)")
_LATE_CLASSES = re.compile(r"(HF_)?ColBERT\w*|\w+ForRetrieval")
_HEADS = (
    (
        re.compile(r"\w+ForSequenceClassification"),
        re.compile(r"classif|score|head|out_proj|logits_proj|summary"),
        SCORER,
    ),
    (
        re.compile(r"\w+For(TokenClassification|QuestionAnswering|MultipleChoice)"),
        re.compile(r"classif|qa_outputs|score|head"),
        CLASSIFIER,
    ),
)
"""Classes of other models, and the tensors that make them such."""


_DECODER = re.compile(r"(\w+\.)?decoder\.")
_STATIC = {"embedding.weight", "embeddings", "mapping", "weights"}
"""What the library reads of a StaticEmbedding, its own or model2vec's."""


@dataclass
class Loading:
    """What the library said of a checkpoint's weights while it was loaded."""

    lacking: list[str] = field(default_factory=list)
    misshapen: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def take(self, text: str) -> None:
        """Read the table in a message of the library; any other message is a warning."""
        kinds = {"MISSING": self.lacking, "MISMATCH": self.misshapen, "UNEXPECTED": self.unread}
        text = _COLOUR.sub("", text)
        rows = _ROW.findall(text)
        for name, status in rows:
            if status in kinds and name not in kinds[status]:
                kinds[status].append(name)
        if not rows and "deprecated" not in text:
            text = _HALF_ON_CPU.sub(_HALF_NOTE, " ".join(text.split()))
            self.warnings.append(text[:_LONGEST])


@contextlib.contextmanager
def watched(folder: Path, view: Path, trusted: bool) -> Iterator[Loading]:
    """Listen to the library while it loads the ``view`` of the checkpoint in ``folder``.

    It prints nothing itself: its table is read, its other warnings are told as mlbench's own.

    Raises ModelError, in our own words where it is known what they mean, for the errors of the
    library (those of the model's own ``trusted`` code pass); EnvironmentFault where a library that
    reads its tokenizer is not installed.
    """
    from transformers.utils import logging as library

    loading = Loading()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            loading.take(record.getMessage())

    with contextlib.ExitStack() as stack:
        for name in _LOGGERS:
            stack.enter_context(_only(Watch(), logging.getLogger(name)))
        if library.is_progress_bar_enabled():
            library.disable_progress_bar()
            stack.callback(library.enable_progress_bar)
        try:
            yield loading
        except Exception as error:
            _tell(folder, loading, error)
            if trusted or isinstance(error, MemoryError):
                raise
            said = str(error).replace(str(view), str(folder))
            raise ModelError(_cannot(folder, "load it", " loads it", error, said)) from error
    for text in dict.fromkeys(loading.warnings):
        warn(f"model {folder}, said by its library: {text.replace(str(view), str(folder))}")


@contextlib.contextmanager
def probed(folder: Path, trusted: bool) -> Iterator[None]:
    """Raise ModelError for what the library raises where first texts are given to its model; the
    errors of the model's own ``trusted`` code pass."""
    try:
        yield
    except (MlbenchError, MemoryError):
        raise
    except Exception as error:
        if trusted:
            raise
        fault = _cannot(folder, "encode a text with it", ".encode(TEXT) works", error, str(error))
        raise ModelError(fault) from error


def _cannot(folder: Path, what: str, then: str, error: Exception, said: str) -> Fault:
    """Say that the library cannot do something with a folder's model, and what it says of it."""
    found = f"the library cannot {what}: {type(error).__name__}: {said}"[:_LONGEST]
    mend = f"correct its files so that SentenceTransformer(FOLDER){then}"
    return Fault(f"model {folder}", found, mend=f"{mend}; --debug shows the whole traceback")


def check_reads_texts(folder: Path, model: Any) -> None:
    """Raise ModelError for a model that the library gives no texts to: of images, or DPR's."""
    if model.supports("text"):
        return
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    kind = getattr(config, "model_type", type(model[0]).__name__)
    found = f"a model of type {kind!r}, which sentence-transformers gives no texts to"
    mend = "load it in code of your own: path/to/file.py:factory"
    raise ModelError(Fault(f"model {folder}", found, "an encoder of texts", mend))


@contextlib.contextmanager
def _only(handler: logging.Handler, logger: logging.Logger) -> Iterator[None]:
    """Let a logger's warnings go to this handler alone."""
    before = (logger.handlers, logger.propagate, logger.level)
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.handlers, logger.propagate, level = before
        logger.setLevel(level)


def check_weights(checkpoint: Checkpoint, model: Any, loading: Loading) -> list[str]:
    """Return notes on tensors that no vector depends on.

    Raises ModelError for another kind of model, an adapter that is not merged, layers that
    nothing reads, and what the checkpoint lacks.
    """
    lacking = [name for name in loading.lacking if _reads_pooler(model) or not _POOLER.search(name)]
    unread, where = loading.unread, f"model {checkpoint.folder}"
    if checkpoint.family is FAMILY_OF_TOKENS and checkpoint.layout == "transformers":
        unread = [name for name in unread if not name.startswith("linear.")]
    left = [name for name in (*unread, *lacking) if _ADAPTER.search(name)]
    if left:
        found = f"its weights hold a PEFT adapter that was not merged: {_some(left)}"
        mend = "merge it into the model (merge_and_unload) and save that"
        raise ModelError(Fault(where, found, "the weights of a model", mend))
    if checkpoint.layout == "transformers" and unread:
        kind = _other_kind(checkpoint.path(CONFIG_FILE).parent, unread)
        if kind is not None:
            found = f"{kind.what}; an encoder has no place for its {_some(unread)}"
            raise ModelError(Fault(where, found, "a dense encoder", kind.mend))
    _refuse_lacking(where, lacking, loading)
    layers = _layers(model, unread)
    if layers:
        raise ModelError(
            Fault(
                where,
                f"its weights have layers that nothing reads: {_some(layers)}",
                "as many layers as its config.json describes",
                "correct config.json, or load the model and save it again as it is to be used",
            )
        )
    unread = [*unread, *_left_out(checkpoint, model, unread)]
    return [f"its weights hold tensors that no vector depends on: {_some(unread)}"] * bool(unread)


def _left_out(checkpoint: Checkpoint, model: Any, unread: list[str]) -> Iterator[str]:
    """Yield what the libraries leave out without a word: decoders, and what no StaticEmbedding
    reads."""
    files = [PurePosixPath(file) for file in checkpoint.files]
    told = [*model.state_dict(), *(f".{name}" for name in unread)]
    for kind, place in checkpoint.modules:
        names = [
            name
            for file in files
            if file.suffix == ".safetensors" and file.parent == PurePosixPath(place)
            for name in tensors(checkpoint.path(str(file)))
        ]
        if kind == "StaticEmbedding":
            yield from sorted({*names} - _STATIC)
        elif kind == "Transformer" and not any(".decoder." in name for name in told):
            decoder = next((name for name in names if _DECODER.match(name)), None)
            if decoder is not None:
                yield decoder.partition("decoder.")[0] + "decoder.*"


def _refuse_lacking(where: str, lacking: list[str], loading: Loading) -> None:
    if lacking or loading.misshapen:
        found = []
        if lacking:
            found.append(f"its weights lack {_some(lacking)}")
        if loading.misshapen:
            found.append(f"these have another shape: {_some(loading.misshapen)}")
        mend = "save the checkpoint again, or correct its config.json"
        prefix = _prefix(lacking, loading.unread)
        if prefix:
            mend = f"take {prefix!r} off the names of its tensors, which the model's do not have"
        expected = "all that its config.json describes, which would be made up at random"
        raise ModelError(Fault(where, "; ".join(found), expected, mend))


def _prefix(lacking: Iterable[str], unread: Iterable[str]) -> str:
    """Return what stands before the names of tensors that are there, but not under that name."""
    others = set(lacking)
    found = {
        name.removesuffix(other)
        for name in unread
        for other in others
        if name.endswith("." + other)
    }
    return min(found, key=len) if found else ""


def _some(names: Iterable[str]) -> str:
    """Name the first tensors, and say how many more there are."""
    ordered = sorted(set(names))
    more = len(ordered) - _NAMED
    return ", ".join(ordered[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _reads_pooler(model: Any) -> bool:
    """Say whether some Transformer gives what the pooler makes."""
    return any(
        params.get("method_output_name") == "pooler_output"
        for module in model.modules()
        for params in (getattr(module, "modality_config", None) or {}).values()
    )


def _other_kind(folder: Path, unread: list[str]) -> Kind | None:
    """Return which other kind of model a folder without modules.json is, by what it says of itself
    and by the tensors that its encoder has no place for."""
    config, _ = read_json(folder / CONFIG_FILE)
    said = config.get("architectures") if isinstance(config, dict) else None
    classes = [name for name in said if isinstance(name, str)] if isinstance(said, list) else []
    if (folder / "artifact.metadata").is_file() or any(map(_LATE_CLASSES.fullmatch, classes)):
        return LATE
    if all(name.startswith("linear.") for name in unread):
        return LATE
    for pattern, heads, kind in _HEADS:
        if any(map(pattern.fullmatch, classes)) and any(map(heads.search, unread)):
            return kind
    if any(name.startswith("qa_outputs.") for name in unread):
        return CLASSIFIER
    if any(name.startswith(("classifier.", "score.")) for name in unread):
        return SCORER
    return None


def _layers(model: Any, unread: Iterable[str]) -> list[str]:
    """Return which tensors are named as those of the model's own layers, but for the number."""
    own = {_LAYER.sub("*", name) for name in model.state_dict()}
    prefixes = {getattr(module, "base_model_prefix", "") for module in model.modules()}
    found = []
    for name in unread:
        shape = _LAYER.sub("*", name)
        ways = {shape, *(shape.removeprefix(f"{prefix}.") for prefix in prefixes)}
        if "*" in shape and any(each.endswith("." + way) for way in ways for each in own):
            found.append(name)
    return found


def _tell(folder: Path, loading: Loading, error: Exception) -> None:
    """Raise in our own words what the library raised, where it is known what it means."""
    text = str(error)
    where = f"model {folder}"
    if loading.misshapen:
        _refuse_lacking(where, [], loading)
    if "state_dict for" in text:
        text = text.replace("torch.Size", "")
        lines = "; ".join(" ".join(line.split()) for line in text.splitlines()[1:])
        module = re.search(r"state_dict for (\w+)", text)
        found = f"the weights of its module {module[1] if module else '?'} do not fit: {lines}"
        mend = "save the checkpoint again, or correct the module's config.json"
        raise ModelError(
            Fault(where, found, "the tensors that the module's config.json describes", mend)
        ) from error
    if "not recognize this architecture" in text or "Unrecognized model in" in text:
        raise ModelError(_unknown(folder)) from error
    if isinstance(error, ImportError) or "Unrecognized processing class" in text:
        _tell_of_tokenizer(folder, error)


def _unknown(folder: Path) -> Fault:
    from transformers import __version__

    said = [read_json(path)[0] for path in sorted(folder.rglob(CONFIG_FILE))]
    kinds = [each["model_type"] for each in said if isinstance(each, dict) and "model_type" in each]
    found = "no model_type in its config.json"
    if kinds:
        found = f"a model of type {kinds[0]!r}, which transformers {__version__} does not know"
    return Fault(
        f"model {folder}",
        found,
        "a kind of model of the transformers library",
        "use a version of transformers that has it, or evaluate it by code of your own: "
        "path/to/file.py:factory",
    )


_WANTED = re.compile(r"requires the (\w+) library but it was not found")
"""What transformers says of a library that it lacks, such as torchvision."""
_READERS = {
    "sentencepiece": ("*.model", "*.spm"),
    "google.protobuf": ("*.model", "*.spm"),
    "tiktoken": ("*.tiktoken",),
}
"""The libraries that read a tokenizer's files where there is no tokenizer.json."""


def _tell_of_tokenizer(folder: Path, error: Exception) -> None:
    if wanted := _WANTED.search(str(error)):
        found = f"it needs the library {wanted[1]}, which is not installed"
        mend = f"pip install {wanted[1].lower()}"
        raise EnvironmentFault(Fault(f"model {folder}", found, mend=mend)) from error
    for name, patterns in _READERS.items():
        files = [path for pattern in patterns for path in sorted(folder.rglob(pattern))]
        if files and not _installed(name):
            package = name.rpartition(".")[2]
            found = f"the library {package}, which reads {files[0].name}, is not installed"
            raise EnvironmentFault(
                Fault(f"model {folder}", found, mend=f"pip install {package}")
            ) from error
    if "Unrecognized processing class" in str(error):
        found = "its tokenizer cannot be read"
        raise ModelError(
            Fault(f"model {folder}", found, "tokenizer.json", SAVE_TOKENIZER)
        ) from error


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # the package around it
        return False
