"""Files of data sets on the Hugging Face hub: where they are, and what the hub says of them.

An address is ``hf://datasets/<owner>/<name>@<revision>/<path>``; the revision is a commit, a
branch or a tag, "main" if left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from mlbench.common.errors import EnvironmentFault, Fault
from mlbench.data.locations import HUB

AT_ONCE = 500
"""Files that the hub is asked about in one request."""


@dataclass(frozen=True)
class HubFile:
    """A file of a data set. ``commit`` is 40 hex digits; ``sha256`` None for small text files,
    of which the hub does not tell it; ``size`` is in bytes."""

    url: str
    repository: str
    commit: str
    path: str
    size: int
    sha256: str | None

    @property
    def pinned(self) -> str:
        """The address with the commit as its revision."""
        return f"hf://datasets/{self.repository}@{self.commit}/{self.path}"


def place_of(url: str) -> str:
    """Return the data set and revision of an address, as "<owner>/<name>@<revision>"."""
    found = HUB.fullmatch(url)
    return f"{found['repository']}@{found['revision'] or 'main'}" if found else ""


def at_commit(url: str, commit_of: Callable[[str], str | None]) -> str:
    """Return the address with the commit that ``commit_of`` knows for its data set, if any."""
    found, commit = HUB.fullmatch(url), commit_of(place_of(url))
    if found is None or commit is None:
        return url
    return f"hf://datasets/{found['repository']}@{commit}/{found['path']}"


def web_address(url: str) -> str:
    """Return the http(s) address that a ``hf://`` address stands for; others stay as they are."""
    found = HUB.fullmatch(url)
    if found is None:
        return url
    from huggingface_hub import hf_hub_url

    revision = found["revision"] or "main"
    address: str = hf_hub_url(
        found["repository"], found["path"], repo_type="dataset", revision=revision
    )
    return address


def web_headers(url: str) -> dict[str, str]:
    """Return what a request for a ``hf://`` address must carry: the user's token, if any."""
    if HUB.fullmatch(url) is None:
        return {}
    from huggingface_hub.utils import build_hf_headers

    headers: dict[str, str] = build_hf_headers(library_name="mlbench")
    return headers


def look_up(urls: Iterable[str]) -> list[HubFile]:
    """Ask the hub for the commit, size and digest of files, in the order given.

    Raises EnvironmentFault, for all that are missing, and where the hub does not answer.
    """
    by_place: dict[tuple[str, str], dict[str, str]] = {}
    order = []
    for url in urls:
        found = HUB.fullmatch(url)
        if found is None:
            raise ValueError(url)
        order.append(url)
        place = (found["repository"], found["revision"] or "main")
        by_place.setdefault(place, {})[found["path"]] = url
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
            url = paths[entry.path]
            yield HubFile(url, repository, commit, entry.path, entry.size, digest)


@contextmanager
def _answering(repository: str, revision: str) -> Iterator[None]:
    """Turn what goes wrong while the hub is asked into EnvironmentFault.

    The message is our own, so that no access token can be in it.
    """
    from huggingface_hub import errors

    library_errors = errors.HfHubHTTPError.__bases__  # of whichever HTTP library the hub uses
    where = f"hf://datasets/{repository}@{revision}"
    mend = (
        "copy the files yourself and name the folder that holds them with --data-dir or "
        "MLBENCH_DATA"
    )
    try:
        yield
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError):
        found = "no such data set or revision, or one you may not read"
        login = "log in with `hf auth login` or set HF_TOKEN if it asks for that; or "
        raise EnvironmentFault(Fault(where, found, "a data set", login + mend)) from None
    except (*library_errors, OSError) as error:
        found = f"the hub cannot be asked ({type(error).__name__})"
        network = "check the network and try again; or "
        raise EnvironmentFault(Fault(where, found, "an answer", network + mend)) from None
