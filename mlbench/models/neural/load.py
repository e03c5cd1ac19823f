"""Load a checked checkpoint with the sentence-transformers library, and ask it what it is."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from importlib import metadata
from typing import Any

from mlbench import __version__
from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, Fault, ModelError, UsageError, install_extra
from mlbench.models.cache_files import packed, question_digest
from mlbench.models.images import ROLE as IMAGES
from mlbench.models.neural.checkpoint import Checkpoint
from mlbench.models.neural.files import read_json
from mlbench.models.neural.folder import CONFIG_FILE
from mlbench.models.neural.forms import Asked, Form, find_form, how_typed
from mlbench.models.neural.kinds import model2vec_modules
from mlbench.models.neural.merging import merge
from mlbench.models.neural.options import NeuralOptions
from mlbench.models.neural.outputs import LATE, WHOLE, Output
from mlbench.models.neural.padding import pad_as_trained, pad_well, padding_notes
from mlbench.models.neural.pictures import find_image_form
from mlbench.models.neural.prompts import ROLES, choose_prompts, prompt_notes, what_is_asked
from mlbench.models.neural.routes import (
    Route,
    both,
    differences,
    find_image_route,
    find_route,
    set_length,
    set_pooling,
)
from mlbench.models.neural.vocabulary import check_vocabulary
from mlbench.models.neural.weights import check_reads_texts, check_weights, probed, watched

EXTRA = install_extra("sentence-transformers")
_FOREIGN = (
    "--trust-remote-code was given: code that the model takes from elsewhere than its folder is no "
    "part of its identity"
)


_MODEL2VEC = (
    "a model2vec folder, run as sentence-transformers runs it: unknown tokens count and no text is "
    "cut, unlike in the encode of model2vec itself"
)


@dataclass(frozen=True)
class Facts:
    """What is known of a loaded model; ``notes`` are for the report.

    By role are ``prompts``, ``lengths``, the tokens after which texts are cut (None: never),
    ``routes``, what differs where the model has modules of their own for each role (else empty),
    and ``padding`` where the library's own would change vectors. ``images`` says whether it takes
    images.
    """

    prompts: dict[str, str]
    pooling: str
    lengths: dict[str, int | None]
    truncate_dim: int | None
    dtype: str
    parameters: int
    device: str
    notes: tuple[str, ...]
    routes: dict[str, dict[str, Any]] = field(default_factory=dict)
    padding: dict[str, str] = field(default_factory=dict)
    images: bool = False

    def chosen(self, similarity: str, backend: str) -> dict[str, Any]:
        """Return all that a vector depends on beside the files and prompts."""
        padded = {"padding": self.padding} if self.padding else {}
        return padded | {
            "similarity": similarity,
            "pooling": self.pooling.removesuffix(" (assumed)"),
            "max_length": self.lengths,
            "truncate_dim": self.truncate_dim,
            "dtype": self.dtype,
            "backend": backend,
        }

    def to_bytes(self) -> bytes:
        """Return them as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Facts:
        """Read what ``to_bytes`` wrote."""
        table: dict[str, Any] = json.loads(raw)
        return cls(**table | {"notes": tuple(table["notes"])})

    def differing(self, other: Facts) -> list[str]:
        """Return the names of the fields that differ; the device may."""
        names = [each.name for each in fields(self) if each.name != "device"]
        return [name for name in names if getattr(self, name) != getattr(other, name)]


@dataclass(frozen=True)
class Loaded:
    """A model of the library, the forms in which it gets the texts of each role, and images if it
    takes any, the ways that texts take through it, its facts, and what is taken of its outputs."""

    model: Any
    forms: dict[str, Form]
    routes: dict[str, Route]
    facts: Facts
    output: Output = WHOLE


def is_model2vec(checkpoint: Checkpoint) -> bool:
    """Say whether model2vec saved a checkpoint."""
    config = checkpoint.path(CONFIG_FILE)
    said = read_json(config)[0] if CONFIG_FILE in checkpoint.files else None
    return isinstance(said, dict) and model2vec_modules(said) is not None


def similarity_of(checkpoint: Checkpoint, options: NeuralOptions) -> str:
    """Return "cosine" or "dot", as asked for, else as the model says, else as its library does.

    Raises ModelError for one that mlbench cannot rank by.
    """
    if options.similarity:
        return options.similarity
    own, known = checkpoint.settings.get("similarity_fn_name"), checkpoint.family.similarities
    if own not in known:
        raise ModelError(
            Fault(
                f"model {checkpoint.folder}",
                f"its similarity is {own!r}",
                "cosine or dot",
                "choose one of these with --similarity",
            )
        )
    return known[own]


def check_libraries(backend: str) -> None:
    """Raise EnvironmentFault where a library that is needed is not installed."""
    needed = {"sentence_transformers": EXTRA, "torch": EXTRA}
    if backend == "openvino":
        needed["openvino"] = "pip install 'sentence-transformers[openvino]'"
    faults = [
        Fault("neural models", f"the library {name} is not installed", mend=mend)
        for name, mend in needed.items()
        if importlib.util.find_spec(name) is None
    ]
    if faults:
        raise EnvironmentFault(*faults)


def check_devices(devices: tuple[str, ...]) -> None:
    """Raise EnvironmentFault for a device that this machine does not have."""
    import torch

    present = {
        "cuda": torch.cuda.device_count,
        "mps": lambda: int(torch.backends.mps.is_available()),
    }
    for device in devices:
        kind, _, number = device.partition(":")
        if kind in present and int(number or 0) >= present[kind]():
            found = f"{plural(present[kind](), 'such device')} on this machine"
            raise EnvironmentFault(
                Fault(f"option --device {device}", found, "a device of this machine")
            )


def load_model(checkpoint: Checkpoint, options: NeuralOptions, similarity: str) -> Loaded:
    """Load the model onto the first device.

    Raises UsageError for an option that does not suit the model, ModelError for a checkpoint
    that lacks weights.
    """
    import sentence_transformers

    check_devices(options.device)
    arguments: dict[str, Any] = {"dtype": options.dtype} if options.dtype else {}
    if not options.allow_pickle and options.backend == "torch":
        arguments["use_safetensors"] = True
    trusted, family = options.trust_remote_code, checkpoint.family
    with checkpoint.view() as view, watched(checkpoint.folder, view, trusted) as loading:
        model = getattr(sentence_transformers, family.library)(
            str(view),
            device=options.device[0] if options.device else None,
            trust_remote_code=trusted,
            local_files_only=options.offline or not trusted,
            model_kwargs=arguments,
            backend=options.backend,
            similarity_fn_name=None if family is LATE else similarity,
        )
    model.eval()
    check_reads_texts(checkpoint.folder, model)
    notes = [_FOREIGN] if trusted else []
    notes += check_weights(checkpoint, model, loading)
    notes += merge(checkpoint, model)
    if is_model2vec(checkpoint):
        notes.append(_MODEL2VEC)
    notes += check_vocabulary(checkpoint.folder, model)
    return _ask(model, checkpoint, options, notes)


def _ask(model: Any, checkpoint: Checkpoint, options: NeuralOptions, notes: list[str]) -> Loaded:
    """Find out what a model is, and make it what the options ask for; add to its ``notes``."""
    where = f"model {checkpoint.folder}"
    routes = {role: find_route(model, role, what_is_asked(model, role), where) for role in ROLES}
    ways = [*routes.values()]
    truncate_dim = _truncate(model, checkpoint, ways, options.truncate_dim)
    output = checkpoint.family.output(truncate_dim)
    pooling = _pool(ways, checkpoint.layout, options.pooling, notes)
    set_length(ways, options.max_length, notes)
    prompts = choose_prompts(model, options)
    notes += prompt_notes(model, checkpoint, options, prompts)
    padding = pad_as_trained(model, checkpoint, notes)
    asked = {
        role: Asked(prompts[role], way.arguments, how_typed(model, way.modules[0]))
        for role, way in routes.items()
    }
    of_images = find_image_route(model) if checkpoint.family.dense else None
    with probed(checkpoint.folder, options.trust_remote_code):
        found = {role: find_form(model, asked[role]) for role in ROLES}
        forms = pad_well(model, routes, found, output)
        pictures = {IMAGES: find_image_form(model, of_images)} if of_images else {}
    notes += padding_notes(forms)
    facts = Facts(
        prompts=prompts,
        pooling=pooling,
        lengths={role: route.length for role, route in routes.items()},
        truncate_dim=truncate_dim,
        dtype=both({role: route.dtype for role, route in routes.items()}),
        parameters=sum(weight.numel() for weight in model.parameters()),
        device=str(model.device),
        notes=tuple(notes),
        routes=differences(ways),
        padding={role: form.padding for role, form in forms.items() if form.padding} | padding,
        images=bool(pictures),
    )
    return Loaded(model, forms | pictures, routes, facts, output)


def _truncate(
    model: Any, checkpoint: Checkpoint, routes: Sequence[Route], wanted: int | None
) -> int | None:
    """Return how many dimensions to keep; None for all.

    Raises ModelError where roles differ, UsageError for a number that the model cannot keep.
    """
    if not checkpoint.family.dense:
        if wanted:
            found, expected = f"the model is {checkpoint.family.what}", "a dense encoder"
            raise UsageError(Fault(f"option --truncate-dim {wanted}", found, expected))
        return None
    own, model.truncate_dim = model.truncate_dim, None
    full = {route.role: route.dimension for route in routes}
    known = [dimension for dimension in full.values() if dimension]
    kept: int | None = wanted or own
    if wanted and known and wanted > min(known):
        found = f"the model has {plural(min(known), 'dimension')}"
        raise UsageError(Fault(f"option --truncate-dim {wanted}", found))
    if len(set(known)) > 1 and not kept:
        found = f"its vectors have {both(full)} dimensions"
        where = f"model {checkpoint.folder}"
        raise ModelError(Fault(where, found, "as many for queries as for passages"))
    return kept


def _pool(routes: Sequence[Route], layout: str, wanted: str | None, notes: list[str]) -> str:
    """Set the pooling if one is wanted; return what it is."""
    if wanted:
        set_pooling(routes, wanted)
    names = both({route.role: route.pooling for route in routes})
    if layout == "transformers" and names != "none" and not wanted:
        notes.append(
            f"a transformers checkpoint does not say how token vectors become one: {names} "
            "pooling is taken; --pooling chooses another"
        )
        return f"{names} (assumed)"
    return names


LIBRARIES = ("torch", "transformers", "sentence-transformers", "tokenizers")
_OF_THE_RUN = ("name", "revision", "base_model", "offline", "batch_tokens")
"""Options that change nothing of a loaded model."""


def versions(*, images: bool = False) -> dict[str, str]:
    """Return the versions of the libraries that run a model, of ``images`` too if it takes any."""
    found = {name: metadata.version(name) for name in LIBRARIES}
    if images and importlib.util.find_spec("torchvision") is not None:
        found["torchvision"] = metadata.version("torchvision")
    return found


def digest(checkpoint: Checkpoint, prompts: dict[str, str], chosen: dict[str, Any]) -> str:
    """SHA-256 (hex) over files, prompts and what was chosen; not over path, name or device."""
    said = (checkpoint.layout, checkpoint.sha256, json.dumps([prompts, chosen], sort_keys=True))
    raw = packed(field.encode("utf-8", "surrogatepass") for field in said)
    return hashlib.sha256(raw).hexdigest()


def facts_digest(checkpoint: Checkpoint, options: NeuralOptions) -> str:
    """Return the digest of the question for a model's facts."""
    given = {name: value for name, value in asdict(options).items() if name not in _OF_THE_RUN}
    said = json.dumps([__version__, versions(), given], sort_keys=True)
    return question_digest("facts/4", [checkpoint.layout, checkpoint.sha256, said])
