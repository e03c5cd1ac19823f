"""How an endpoint is to be asked: the options of a model behind one, in a model file or else.

A model file is TOML:

    model = "openai:multilingual-e5-small"
    base_url = "http://127.0.0.1:8080/v1"
    query_prompt = "query: "
    passage_prompt = "passage: "

Where there is none, or it names no server, OPENAI_BASE_URL does. OPENAI_API_KEY holds the key of
that server, and is sent to no other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import SplitResult, urlsplit

from mlbench.common.errors import Fault, UsageError
from mlbench.common.forms import (
    WORD,
    Takes,
    Wrong,
    fields_of,
    fill_form,
    if_only,
    one_of,
    read_toml,
    whole_number,
)
from mlbench.common.trust import Demand
from mlbench.models.endpoint.server import Address
from mlbench.models.neural.options import DTYPES
from mlbench.models.protocol import SIMILARITIES

KIND = "openai"
URL_VARIABLE, KEY_VARIABLE = "OPENAI_BASE_URL", "OPENAI_API_KEY"
DEFAULT_URL = "https://api.openai.com/v1"
SECRET = "api_key_variable"
"""The field of a model file that asks for a secret to be sent."""
OWN_FIELDS = ("model", "input", "encoding_format", "dimensions")
"""What mlbench writes into a request itself."""
NO_FORMAT = "none"
FORMATS = ("float", "base64", NO_FORMAT)
"""How vectors are asked for: as lists of numbers, as float32 in base64, or without a word, for
servers that know none of these."""
_URL = "http:// or https://, a host and a path, such as http://127.0.0.1:8080/v1"
_PORTS = {"http": 80, "https": 443}


def _url(value: Any) -> str:
    """Return an address without its last slash. One with a password, say, is never shown."""
    if not isinstance(value, str):
        raise Wrong("no string", _URL)
    try:
        parts = urlsplit(value.strip())
        own = parts.username or parts.password or parts.query or parts.fragment
        sound = parts.scheme in _PORTS and parts.hostname and parts.port != 0
    except ValueError:
        raise Wrong("no address", _URL) from None
    if own or "@" in value:
        raise Wrong("an address with a user, a password, a query or a fragment", _URL)
    if not sound or any(c.isspace() or not c.isprintable() for c in value.strip()):
        raise Wrong(repr(value)[:200], _URL)
    return value.strip().rstrip("/")


def _key(value: Any) -> str:
    """Return a key as a header can hold it."""
    expected = "a key of printable ASCII characters without spaces"
    given = value.strip() if isinstance(value, str) else ""
    if not given or not all("!" <= letter <= "~" for letter in given):
        raise Wrong("a value that is no key (it is not shown)", expected)
    return given


def fields_besides(own_fields: tuple[str, ...]) -> Takes:
    """Return what takes more fields of a request than those that mlbench writes into it itself;
    JSON must be able to hold them."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError
        if own := [name for name in own_fields if name in value]:
            raise Wrong(f"a table with {own[0]!r}", f"fields other than {', '.join(own_fields)}")
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            raise Wrong(
                "a table with a value that JSON cannot hold", "a table of JSON values"
            ) from None
        return dict(value)

    return Takes("a table of JSON values", read)


Word = Annotated[str, WORD]
Count = Annotated[int, Takes("a whole number from 1", whole_number)]
Seconds = Annotated[float, if_only(lambda v: 0 < float(v) < 1e6, "a number of seconds above 0")]
Url = Annotated[str, Takes(_URL, _url)]
Key = Annotated[str, Takes("a key", _key)]
Fields = Annotated[dict[str, Any], fields_besides(OWN_FIELDS)]
Dtype = Annotated[str, one_of(*DTYPES)]


@dataclass(frozen=True)
class ServerOptions:
    """Where a server is, its key, and how it is asked, whatever it is asked for.

    ``dtype`` is what it computes in, as far as that is known.
    """

    name: Word | None = None
    base_url: Url | None = None
    api_key: Key | None = field(default=None, repr=False)
    api_key_variable: Word | None = None
    dtype: Dtype | None = None
    concurrency: Count = 4
    timeout: Seconds = 120.0
    offline: bool = False


@dataclass(frozen=True)
class EndpointOptions(ServerOptions):
    """How an endpoint is asked; None leaves it to the server.

    ``body``, ``query_body`` and ``passage_body`` are further fields of a request, of both roles
    and of one; ``query_model`` and ``passage_model`` are names for one role alone.
    """

    query_model: Word | None = None
    passage_model: Word | None = None
    query_prompt: str | None = None
    passage_prompt: str | None = None
    body: Fields | None = None
    query_body: Fields | None = None
    passage_body: Fields | None = None
    encoding_format: Annotated[str, one_of(*FORMATS)] = FORMATS[0]
    dimensions: Count | None = None
    max_characters: Count | None = None
    similarity: Annotated[str, one_of(*SIMILARITIES)] = SIMILARITIES[0]
    batch_size: Count = 64

    def of_role(self, role: str, model: str) -> dict[str, Any]:
        """Return what a request for texts of a role holds beside these."""
        fields: dict[str, Any] = {"model": getattr(self, f"{role}_model") or model}
        if self.encoding_format != NO_FORMAT:
            fields["encoding_format"] = self.encoding_format
        if self.dimensions is not None:
            fields["dimensions"] = self.dimensions
        return fields | (self.body or {}) | (getattr(self, f"{role}_body") or {})


ALIASES = {"truncate_dim": "dimensions"}
"""What options of the command line are called here."""


def parse_options(values: Mapping[str, Any], where: str = "") -> EndpointOptions:
    """Return ``values`` (field -> value) as options; ``where`` is the file that they come from, ""
    for the command line. Raises UsageError with every fault."""

    def place(name: str) -> str:
        return f"{where}, field {name}" if where else f"option --{name.replace('_', '-')}"

    faults = []
    if not where:
        values = {ALIASES.get(name, name): value for name, value in values.items()}
        expected = "one that an endpoint can be told: " + ", ".join(_OF_THE_COMMAND_LINE)
        faults = [
            Fault(place(name), "is for models that run on this machine", expected)
            for name in values
            if name not in EndpointOptions.__dataclass_fields__
        ]
        values = {name: v for name, v in values.items() if name in _NAMES}
    faults += two_keys(values, place)
    return fill_form(EndpointOptions, values, place, UsageError, faults)


def two_keys(values: Mapping[str, Any], place: Callable[[str], str]) -> list[Fault]:
    """Return the fault of a key that is given in two ways, if there is one."""
    if values.get("api_key") is None or values.get(SECRET) is None:
        return []
    return [Fault(f"{place('api_key')} and {SECRET}", "both given", "one of them")]


_NAMES = tuple(EndpointOptions.__dataclass_fields__)
_OF_THE_COMMAND_LINE = (
    *("--name", "--query-prompt", "--passage-prompt", "--similarity", "--dtype"),
    *("--truncate-dim", "--offline"),
)


@dataclass(frozen=True)
class EndpointFile:
    """A model file that names a model behind an endpoint, and its options unread."""

    model: str
    values: dict[str, Any]


def read_endpoint_file(path: Path, wanted: str = KIND) -> EndpointFile:
    """Read a model file. Raises UsageError if it names no model of the kind that is wanted."""
    table = read_toml(path, "a model file", UsageError)
    named = table.pop("model", None)
    kind, _, model = named.partition(":") if isinstance(named, str) else ("", "", "")
    if kind != wanted or not model.strip():
        expected = f'"{wanted}:" and the name that the server has for the model'
        raise UsageError(Fault(fields_of(path)("model"), repr(named), expected))
    return EndpointFile(model, table)


def demands_of(path: Path, file: EndpointFile) -> list[Demand]:
    """Return what a model file asks for that could do harm: that a secret be sent somewhere.

    Raises UsageError for faulty options.
    """
    return demands_of_options(path, parse_options(file.values, str(path)))


def demands_of_options(path: Path, own: ServerOptions) -> list[Demand]:
    """Return what the options of a model file ask for that could do harm."""
    if own.api_key_variable is None:
        return []
    what = f"sends what the environment variable {own.api_key_variable} holds to {_url_of(own)}"
    return [Demand(path, SECRET, what)]


def address_of(options: ServerOptions, *, of_file: bool = False) -> Address:
    """Return where the server is, and the key for it.

    The key of the environment goes to the server of the environment, and to one that the user
    names; not to another that a model file names (``of_file``). Raises UsageError where a key is
    missing or is none.
    """
    url, own = _url_of(options), _environment_url()
    if options.api_key is not None:
        return Address(url, options.api_key)
    if options.api_key_variable is not None:
        return Address(url, _from_environment(options.api_key_variable, needed=True))
    if of_file and _origin(url) != _origin(own):
        return Address(url)
    return Address(url, _from_environment(KEY_VARIABLE, needed=_origin(url) == _OPENAI))


def _url_of(options: ServerOptions) -> str:
    return options.base_url or _environment_url()


def _environment_url() -> str:
    given = os.environ.get(URL_VARIABLE, "").strip()
    try:
        return _url(given) if given else DEFAULT_URL
    except Wrong as wrong:
        raise UsageError(Fault(URL_VARIABLE, wrong.found, wrong.expected)) from None


def _origin(url: str) -> tuple[str, str | None, int]:
    parts: SplitResult = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]


_OPENAI = _origin(DEFAULT_URL)


def _from_environment(name: str, *, needed: bool) -> str | None:
    given = os.environ.get(name, "").strip()
    if not given and needed:
        mend = f"set it, or name another server with {URL_VARIABLE}"
        raise UsageError(Fault(name, "is not set", "the key of the server", mend))
    try:
        return _key(given) if given else None
    except Wrong as wrong:
        raise UsageError(Fault(name, wrong.found, wrong.expected)) from None
