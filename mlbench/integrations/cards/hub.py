"""Cards on the Hugging Face hub: a model's card read there, and a pull request that changes it.

The user's token goes with the requests, as huggingface_hub finds it; no message has it.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlbench.common.errors import DataError, EnvironmentFault, Fault, UsageError
from mlbench.common.terminal import printable
from mlbench.data.hub import hub_errors

if TYPE_CHECKING:
    from huggingface_hub import HfApi

TITLE = "Evaluation results of mlbench"
MOST_TOLD = 300
"""Characters of the hub's own words that a message has."""
REFUSED = {
    401: "the hub does not know you, or there is no such model (HTTP 401)",
    403: "the hub does not let you do this (HTTP 403)",
    404: "there is no such model, or you may not see it (HTTP 404)",
}


@dataclass(frozen=True)
class HubModel:
    """A model of the hub: its ``name`` (owner/name) and the commit that its card was read at."""

    name: str
    commit: str
    card: bytes | None

    def read(self, name: str) -> bytes | None:
        """Return the card, None for any other file, which a pull request replaces."""
        return self.card if name == "README.md" else None


def read_model(name: str) -> HubModel:
    """Read a model's card from the hub. Raises UsageError for what is no name of a model,
    EnvironmentFault where the hub refuses or does not answer."""
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
    )
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(name)
    except HFValidationError:
        raise UsageError(Fault("--push", repr(name), "a model of the hub, OWNER/NAME")) from None
    with _answering(name), tempfile.TemporaryDirectory() as folder:
        api = _api()
        commit = str(api.model_info(name).sha)
        try:
            path = api.hf_hub_download(name, "README.md", revision=commit, local_dir=folder)
            card = Path(path).read_bytes()
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            card = None
    return HubModel(name, commit, card)


def open_pull_request(model: HubModel, files: dict[str, bytes]) -> str:
    """Open a pull request that writes files into a model's repository; return its address, "" where
    all files are there already.

    Raises DataError where the hub finds fault with the card, EnvironmentFault where it refuses or
    does not answer.
    """
    from huggingface_hub import CommitOperationAdd

    added = [CommitOperationAdd(name, content) for name, content in files.items()]
    with _answering(model.name):
        done = _api().create_commit(
            model.name, added, commit_message=TITLE, create_pr=True, parent_commit=model.commit
        )
    return str(done.pr_url or "")


def _api() -> HfApi:
    from huggingface_hub import HfApi

    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/")
    return HfApi(endpoint=endpoint or None, library_name="mlbench")


@contextmanager
def _answering(name: str) -> Iterator[None]:
    """Turn what goes wrong while the hub is asked into our errors, which have no token in them, and
    keep the library's own words from the terminal."""
    from huggingface_hub.utils import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    shown = not are_progress_bars_disabled()
    disable_progress_bars()
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except hub_errors() as error:
        raise _fault(name, error) from None
    except ValueError as error:  # what huggingface_hub makes of a card that the hub refuses
        found = f"the hub refuses the card: {_safe(str(error))}"
        raise DataError(Fault(f"{name}, README.md", found, "a card that the hub takes")) from None
    finally:
        if shown:
            enable_progress_bars()


def _fault(name: str, error: Exception) -> EnvironmentFault:
    """Return what went wrong: what the hub refused, or that it cannot be reached."""
    from huggingface_hub.errors import OfflineModeIsEnabled

    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    where = f"the model {name} on the hub"
    if isinstance(error, OfflineModeIsEnabled):
        found, mend = "the hub may not be asked", "unset HF_HUB_OFFLINE; try again"
        return EnvironmentFault(Fault(where, found, "HF_HUB_OFFLINE not set", mend))
    if status is None:
        found = f"the hub cannot be reached ({type(error).__name__})"
        return EnvironmentFault(Fault(where, found, "an answer", "check the network; try again"))
    found = REFUSED.get(status, f"the hub refuses (HTTP {status})")
    if told := _safe(getattr(error, "server_message", None) or ""):
        found += f": {told}"
    mend = "check the name; log in with `hf auth login`, or set HF_TOKEN to a token that may write"
    if status >= 500:
        mend = "try again later"
    return EnvironmentFault(Fault(where, found, "a pull request", mend))


def _safe(text: str) -> str:
    """Return what the hub said, short and without the user's token or any other."""
    from huggingface_hub import get_token

    if token := get_token():
        text = text.replace(token, "***")
    text = re.sub(r"(?i)bearer\s+\S+|hf_\w{8,}", "***", text)
    return " ".join(printable(text).split())[:MOST_TOLD]
