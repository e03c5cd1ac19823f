"""Files of data sets on the Hugging Face hub: where they are, what the hub says, the files.

An address is ``hf://datasets/<owner>/<name>@<revision>/<path>``; the revision is a commit, a
branch or a tag, "main" if left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbench.common.errors import EnvironmentFault, Fault
from mlbench.data.locations import HUB

AT_ONCE = 500
"""Files that the hub is asked about in one request."""


@dataclass(frozen=True)
class HubFile:
    """A file of a data set. ``commit`` is 40 hex digits; ``sha256`` None for small text files,
    of which the hub does not tell it; ``size`` is in bytes."""

    url: str
    commit: str
    size: int
    sha256: str | None

    @property
    def pinned(self) -> str:
        """The address with the commit as its revision."""
        return at_commit(self.url, self.commit)


def parts_of(url: str) -> tuple[str, str, str]:
    """Return the data set, revision and path of an address. Raises ValueError for another."""
    found = HUB.fullmatch(url)
    if found is None:
        raise ValueError(url)
    return found["repository"], found["revision"] or "main", found["path"]


def place_of(url: str) -> str:
    """Return the data set and revision of an address, as "<owner>/<name>@<revision>"."""
    repository, revision, _ = parts_of(url)
    return f"{repository}@{revision}"


def at_commit(url: str, commit: str | None) -> str:
    """Return the address with a commit as its revision, as it is without one."""
    repository, _, path = parts_of(url)
    return f"hf://datasets/{repository}@{commit}/{path}" if commit else url


def hub_errors() -> tuple[type[Exception], ...]:
    """Return what huggingface_hub raises where a file cannot be had.

    That is the errors of whichever HTTP library it uses, and RuntimeError from its own transfer.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return (*HfHubHTTPError.__bases__, OSError, RuntimeError)


def store(url: str, folder: Path, advance: Callable[[int], None]) -> Path:
    """Download a file of the hub to somewhere in ``folder``; ``advance`` is told what arrives.

    The user's token goes with the request, if there is one. Raises one of ``hub_errors``.
    """
    from huggingface_hub import hf_hub_download

    repository, revision, name = parts_of(url)
    path = hf_hub_download(
        repository,
        name,
        repo_type="dataset",
        revision=revision,
        library_name="mlbench",
        local_dir=folder,
        tqdm_class=_bar(advance),
    )
    return Path(path)


def _bar(advance: Callable[[int], None]) -> type:
    """Return a progress bar of tqdm's that shows nothing; the first one made tells ``advance``."""
    from tqdm import tqdm

    bars: list[Any] = []

    def init(self: Any, *args: Any, **options: Any) -> None:
        options.pop("name", None)
        tqdm.__init__(self, *args, **options | {"disable": True})
        bars.append(self)

    def update(self: Any, count: int = 1) -> None:
        if self is bars[0]:
            advance(count)

    return type("Bar", (tqdm,), {"__init__": init, "update": update})


def look_up(urls: Iterable[str]) -> list[HubFile]:
    """Ask the hub for the commit, size and digest of files, in the order given.

    Raises EnvironmentFault, for all that are missing, and where the hub does not answer.
    """
    order = list(urls)
    by_place: dict[tuple[str, str], dict[str, str]] = {}
    for url in order:
        repository, revision, path = parts_of(url)
        by_place.setdefault((repository, revision), {})[path] = url
    files = {
        file.url: file
        for (repository, revision), paths in by_place.items()
        for file in _of_repository(repository, revision, paths)
    }
    missing = [Fault(url, "is not in the data set", "a file") for url in order if url not in files]
    if missing:
        raise EnvironmentFault(*missing)
    return [files[url] for url in order]


def _of_repository(repository: str, revision: str, paths: dict[str, str]) -> Iterator[HubFile]:
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    api = HfApi(library_name="mlbench")
    names, entries = list(paths), []
    with _answering(repository, revision):
        commit = api.dataset_info(repository, revision=revision).sha or revision
        for start in range(0, len(names), AT_ONCE):
            some = names[start : start + AT_ONCE]
            entries += api.get_paths_info(repository, some, revision=commit, repo_type="dataset")
    for entry in entries:
        if isinstance(entry, RepoFile):
            digest = entry.lfs.sha256 if entry.lfs else None
            yield HubFile(paths[entry.path], commit, entry.size, digest)


@contextmanager
def _answering(repository: str, revision: str) -> Iterator[None]:
    """Turn what goes wrong while the hub is asked into EnvironmentFault.

    The message is our own, so that no access token can be in it.
    """
    from huggingface_hub import errors

    where = f"hf://datasets/{repository}@{revision}"
    mend = (
        "copy the files yourself and name the folder that holds them with --data-dir or "
        "MLBENCH_DATA"
    )
    try:
        yield
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        found = "there is no such data set or revision, or you may not read it"
        login = "log in with `hf auth login` or set HF_TOKEN if it asks for that; or "
        raise EnvironmentFault(Fault(where, found, "a data set", login + mend)) from None
    except hub_errors() as error:
        found = f"the hub cannot be reached ({type(error).__name__})"
        network = "check the network and try again; or "
        raise EnvironmentFault(Fault(where, found, "an answer", network + mend)) from None
