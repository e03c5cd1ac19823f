"""Models of the Hugging Face hub: find or download exactly the files that a model needs.

Messages are our own, made of a repository's name and the kind of error, so that no access token
can be in them.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path, PurePosixPath

from mlbench.common.errors import EnvironmentFault, Fault, ModelError, UsageError
from mlbench.models.neural.card import CARD
from mlbench.models.neural.files import LEFT_OUT, PLAIN
from mlbench.models.neural.graphs import choose_file, which_file
from mlbench.models.neural.kinds import other_weights, pickled_weights
from mlbench.models.neural.options import NeuralOptions

_WEIGHTS = re.compile(r"(model(-\d+-of-\d+)?|adapter_model)\.safetensors")
_PICKLED = re.compile(r"(pytorch_model(-\d+-of-\d+)?|adapter_model)\.bin")
_EXPECTED = "safetensors weights"
_LOGIN = "ask for access on its page, and log in with `hf auth login` or set HF_TOKEN"


def wanted_files(names: list[str], options: NeuralOptions) -> list[str]:
    """Return which of a repository's files a model may need; pickles only where nothing else is
    there and they may be opened."""
    found = []
    graph, replaced = _graph(names, options), None
    if graph is not None:
        below = PurePosixPath(graph).parent
        replaced = below.parent if below.name == "onnx" else below
    safe = {str(PurePosixPath(name).parent) for name in names if name.endswith(".safetensors")}
    for name in names:
        path = PurePosixPath(name)
        exported = options.backend == "openvino" and path.parent.name == "openvino"
        exported = exported or (graph is not None and name.startswith(graph))  # its data too
        pickled = (
            options.allow_pickle
            and str(path.parent) not in safe
            and _PICKLED.fullmatch(path.name) is not None
        )
        plain = PLAIN.fullmatch(path.name) and not LEFT_OUT.fullmatch(path.name)
        code = options.trust_remote_code and path.suffix == ".py"
        weights = _WEIGHTS.fullmatch(path.name) and path.parent != replaced
        if name == CARD or plain or weights or exported or pickled or code:
            found.append(name)
    return found


def _graph(names: list[str], options: NeuralOptions) -> str | None:
    """Return the ONNX file that is to be run, if one is and it is clear which."""
    return choose_file(names, options.onnx_file) if options.backend == "onnx" else None


def fetch(repository: str, options: NeuralOptions) -> Path:
    """Return the folder of a model in the hub's cache, downloaded if need be.

    Raises UsageError for a name that no model can have; ModelError where the model is missing,
    private or gated, or offers pickled weights alone; EnvironmentFault where it is not in the
    cache and cannot be downloaded.
    """
    from huggingface_hub import constants, errors

    refused = (errors.RepositoryNotFoundError, errors.RevisionNotFoundError)
    offline = options.offline or constants.HF_HUB_OFFLINE
    try:
        if offline:
            return _cached(repository, options.revision)
        try:
            return _downloaded(repository, options)
        except refused:
            raise
        except _failures():
            return _cached(repository, options.revision)
    except errors.HFValidationError:
        raise UsageError(
            Fault(f"model {repository}", "not the name of a model on the hub", "ORG/NAME")
        ) from None
    except refused as error:
        raise ModelError(_refusal(repository, options.revision, error)) from None
    except _failures():
        found = "not on this machine" + (", and the network may not be used" if offline else "")
        if not offline:
            found += ", and the hub cannot be reached"
        raise EnvironmentFault(
            Fault(
                f"model {repository}",
                found,
                "a model in the hub's cache (HF_HOME)",
                "download it on a machine with a network, and give its folder",
            )
        ) from None


def _failures() -> tuple[type[Exception], ...]:
    """Return what the hub's library raises where it does not get through."""
    from huggingface_hub import utils

    network = getattr(utils, "httpx", None) or importlib.import_module("httpx")
    return (OSError, network.HTTPError)


def _cached(repository: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(repository, revision=revision, local_files_only=True))


def _downloaded(repository: str, options: NeuralOptions) -> Path:
    from huggingface_hub import HfApi, snapshot_download

    info = HfApi().model_info(repository, revision=options.revision)
    names = [entry.rfilename for entry in info.siblings or ()]
    wanted = wanted_files(names, options)
    if options.backend == "onnx" and _graph(names, options) is None:
        where = f"model {repository} on the hub"
        raise ModelError(Fault(where, *which_file(names, options.onnx_file)))
    if not any(name.endswith((".safetensors", ".bin", ".onnx", ".xml")) for name in wanted):
        raise ModelError(_no_weights(repository, names))
    return Path(snapshot_download(repository, revision=info.sha, allow_patterns=wanted))


def _refusal(repository: str, revision: str | None, error: Exception) -> Fault:
    from huggingface_hub import errors

    where = f"model {repository} on the hub"
    if isinstance(error, errors.GatedRepoError):
        return Fault(where, "gated: this account has no access to it", mend=_LOGIN)
    if isinstance(error, errors.RevisionNotFoundError):
        return Fault(where, f"has no revision {revision!r}", "a branch, tag or commit of it")
    mend = f"correct the name; if it is private, {_LOGIN}"
    return Fault(where, "no such model, or a private one", "ORG/NAME", mend)


def _no_weights(repository: str, names: list[str]) -> Fault:
    where = f"model {repository} on the hub"
    if any(pickled_weights(PurePosixPath(name).name for name in names)):
        mend = "give --allow-pickle if you trust its source"
        return Fault(where, "pickled weights alone, which can run code", _EXPECTED, mend)
    found, mend = other_weights(names) or ("no weights", "")
    return Fault(where, found, _EXPECTED, mend)
