"""A server that is asked over HTTP: JSON there and back, several requests at once, and again where
that may help.

The key goes to the address that was given and nowhere else: no redirect is followed, and no
message, log or exception holds it. Messages are our own; what the server says is quoted without
any part of the key.
"""

from __future__ import annotations

import datetime
import email.utils
import json
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeVar, cast

from mlbench.common.counts import plural
from mlbench.common.errors import EnvironmentFault, Fault, ModelError

CONNECT_SECONDS = 10.0
LONGEST_WAIT = 120.0
"""The longest wait that a server may ask for, in seconds."""
BUSY_SECONDS = 300.0
"""How long a server may be busy with one request before that is the end."""
FIRST_WAIT, MOST_BACKOFF = 1.0, 32.0
"""Where a busy server does not say how long to wait: the first wait; each further one is twice as
long, up to the second."""
BROKEN_WAITS = (1.0, 4.0)
"""The waits before each further attempt where no whole answer arrives, or the server fails."""
BUSY = {408, 409, 425, 429, 502, 503, 504, 529}
FAILED = 500
REJECTED = {400, 413, 422}
SPENT = "insufficient_quota"
"""What OpenAI's error code is where waiting does not help."""
SHOWN = 300
PART_OF_KEY = 6
"""So many characters in a row of a key are not shown."""

T = TypeVar("T")
R = TypeVar("R")


class Rejected(ModelError):
    """The server does not take what it was asked: smaller requests may help."""


class Trouble(NamedTuple):
    """An attempt that failed and may be made again: what happened, whether the server is busy with
    all that it is asked, and how many seconds it asks to wait (None: it does not say)."""

    found: str
    busy: bool = False
    wait: float | None = None


@dataclass(frozen=True)
class Address:
    """Where a server is, and the key for it, which is never shown."""

    url: str
    key: str | None = None

    def __repr__(self) -> str:
        return f"Address({self.url!r})"


class Server:
    """A server at ``address``, asked ``concurrency`` things at once; ``where`` says in messages
    what asks. ``timeout`` is how many seconds it may say nothing."""

    def __init__(self, address: Address, where: str, concurrency: int, timeout: float) -> None:
        import requests
        from requests.adapters import HTTPAdapter

        self.url, self.where = address.url, where
        self.concurrency, self.timeout = concurrency, timeout
        self._key = address.key
        self._session = requests.Session()
        self._session.auth = self._sign  # with one, requests looks for none in the user's .netrc
        pool = HTTPAdapter(pool_maxsize=concurrency)
        self._session.mount("https://", pool)
        self._session.mount("http://", pool)
        self._met = False
        self._busy_until = 0.0

    def _sign(self, request: Any) -> Any:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request

    def ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the object that the server answers to a POST of ``body``.

        Asks again, after a wait, where the server is busy or an answer does not arrive whole.
        Raises Rejected where the server does not take this body, ModelError where it answers
        something else than an object, EnvironmentFault where it does not answer, does not take
        the key, or stays busy.
        """
        return cast("dict[str, Any]", self._asked(path, body, dict))

    def ask_for_list(self, path: str, body: dict[str, Any]) -> list[Any]:
        """As ``ask``, where the server answers a list."""
        return cast("list[Any]", self._asked(path, body, list))

    def _asked(self, path: str, body: dict[str, Any], shape: type) -> object:
        url = f"{self.url}/{path}"
        content = json.dumps(body, ensure_ascii=False).encode()
        began, attempts, backoff, broken = time.monotonic(), 0, FIRST_WAIT, [*BROKEN_WAITS]
        while True:
            time.sleep(max(0.0, self._busy_until - time.monotonic()))
            answer = self._attempt(url, content, shape)
            if not isinstance(answer, Trouble):
                self._met = True
                return answer
            attempts += 1
            lasted = time.monotonic() - began
            if answer.busy:  # with all requests, not with this one alone
                wait = backoff if answer.wait is None else answer.wait
                backoff = min(2 * backoff, MOST_BACKOFF)
                if wait > LONGEST_WAIT or lasted + wait > BUSY_SECONDS:
                    raise self._fault(url, _end(answer, attempts, lasted), _LATER)
                self._busy_until = max(self._busy_until, time.monotonic() + wait)
            elif not self._met:
                raise self._fault(url, f"no server answers: {answer.found}", _NOT_THERE)
            elif not broken:
                raise self._fault(url, _end(answer, attempts, lasted), _LATER)
            else:
                time.sleep(broken.pop(0))

    def ask_all(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Return what ``work`` makes of each item, as many at once as the server is asked.

        Raises what the first that fails raises; no further one is begun then, nor where the user
        interrupts.
        """
        return in_parallel(work, items, self.concurrency)

    def _attempt(self, url: str, content: bytes, shape: type) -> object | Trouble:
        import requests

        failures = requests.exceptions
        try:
            answer = self._session.post(
                url,
                data=content,
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                timeout=(CONNECT_SECONDS, self.timeout),
                allow_redirects=False,
            )
        except failures.SSLError:
            raise self._fault(
                url, "its certificate is not accepted", "an address that is its own"
            ) from None
        except failures.ReadTimeout:
            self._met = True  # it took the request
            return Trouble(f"no answer within {self.timeout:g} s")
        except (
            failures.ConnectionError,
            failures.Timeout,
            failures.ChunkedEncodingError,
            failures.ContentDecodingError,
        ) as error:
            return Trouble(_reason(error))
        except failures.RequestException as error:
            raise self._fault(url, f"cannot be asked: {type(error).__name__}", _NOT_THERE) from None
        return self._read(url, answer, shape)

    def _read(self, url: str, answer: Any, shape: type) -> object | Trouble:
        """Return what an answer holds, or why it should be asked for again."""
        status = int(answer.status_code)
        if 200 <= status < 300:
            return self._value(url, answer, shape)
        if 300 <= status < 400:
            found = f"sends us on to another address ({status}), which is not followed"
            raise self._fault(url, found, "the last address itself, such as its https:// form")
        told = ": ".join(filter(None, (str(status), said_by(answer, self._key))))
        if status in (401, 403):
            had = "refuses the key" if self._key else "asks for a key, and none was given"
            raise self._fault(url, f"{had} ({status})", _KEY)
        if status in REJECTED:
            raise Rejected(Fault(self.where, f"{url} does not take the request: {told}"))
        if status == FAILED:
            self._met = True
            return Trouble(f"the server answers {told}")
        if status in BUSY and SPENT.encode() not in answer.content:
            return Trouble(f"the server answers {told}", True, asked_wait(answer.headers))
        raise self._fault(url, f"answers {told}", "a server that has what is asked for")

    def _value(self, url: str, answer: Any, shape: type) -> object | Trouble:
        try:
            value = json.loads(answer.content)
        except ValueError:
            if answer.content.lstrip().startswith((b"{", b"[")):
                return Trouble("an answer that breaks off")
            kind = str(answer.headers.get("Content-Type", "")).partition(";")[0] or "something"
            found = f"{url} answers {_line(kind, self._key)} instead of JSON"
            mend = "give the address of the API itself, which ends in /v1 for most servers"
            expected = f"JSON, {_SHAPES[shape]}"
            raise ModelError(Fault(self.where, found, expected, mend)) from None
        if not isinstance(value, shape):
            wanted, other = _SHAPES[shape], _SHAPES.get(type(value), "something else")
            found = f"{url} answers JSON, but {other} and not {wanted}"
            raise ModelError(Fault(self.where, found, wanted))
        return value

    def _fault(self, url: str, found: str, expected: str) -> EnvironmentFault:
        return EnvironmentFault(Fault(self.where, f"{url}: {found}", expected))


_SHAPES: dict[type, str] = {dict: "an object", list: "a list"}
_NOT_THERE = "a server at this address; OPENAI_BASE_URL, or base_url in a model file, names it"
_LATER = "a server that answers; what is encoded so far is kept in the embedding cache"
_KEY = "the key of this server: in OPENAI_API_KEY, or in a model file as docs/endpoints.md says"


def _end(trouble: Trouble, attempts: int, seconds: float) -> str:
    """Say why no further attempt is made."""
    if trouble.wait is not None and trouble.wait > LONGEST_WAIT:
        return f"{trouble.found}, and asks to wait {trouble.wait:,.0f} s"
    return f"{trouble.found} ({plural(attempts, 'attempt')} within {seconds:,.0f} s)"


def _reason(error: BaseException) -> str:
    """Say why a connection failed, in the system's words; a library's own may be anything."""
    seen: BaseException | None = error
    found = ""
    while seen is not None:
        if isinstance(seen, OSError) and isinstance(seen.errno, int) and seen.strerror:
            found = seen.strerror
        inner = getattr(seen, "reason", None) or (seen.args[0] if seen.args else None)
        below = inner if isinstance(inner, BaseException) else None
        seen = below or seen.__cause__ or seen.__context__
    return found or "the connection broke"


def asked_wait(headers: Any, now: datetime.datetime | None = None) -> float | None:
    """Return how many seconds ``Retry-After`` (or OpenAI's ``retry-after-ms``) asks to wait; None
    where it is absent or makes no sense.

    >>> asked_wait({"Retry-After": "20"})
    20.0
    """
    for name, unit in (("retry-after-ms", 1000.0), ("Retry-After", 1.0)):
        given = str(headers.get(name, "")).strip()
        try:
            seconds = float(given) / unit
        except ValueError:
            continue
        if 0 <= seconds < float("inf"):
            return seconds
    try:
        until = email.utils.parsedate_to_datetime(str(headers.get("Retry-After", "")))
    except ValueError:
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=datetime.UTC)
    return max(0.0, (until - (now or datetime.datetime.now(datetime.UTC))).total_seconds())


def said_by(answer: Any, key: str | None) -> str:
    """Return what a server says is wrong, on one line, without any part of the key."""
    try:
        value = json.loads(answer.content)
    except ValueError:
        text = answer.content[: 10 * SHOWN].decode("utf-8", "replace")
        return "" if "<" in text else _line(text, key)
    for name in ("error", "message", "detail"):
        if isinstance(value, dict) and value.get(name):
            value = value[name]
    return _line(value if isinstance(value, str) else json.dumps(value), key)


def _line(text: str, key: str | None) -> str:
    shown = "".join(c if c.isprintable() else " " for c in without(text, key))
    line = " ".join(shown.split())
    return line if len(line) <= SHOWN else f"{line[:SHOWN]} ..."


def without(text: str, key: str | None) -> str:
    """Return a text without the key, and without parts of it.

    >>> without("wrong key: sk-abcdefgh", "sk-abcdefgh")
    'wrong key: ...'
    """
    if not key:
        return text
    size = min(PART_OF_KEY, len(key))
    parts = {key[i : i + size] for i in range(len(key) - size + 1)}
    hidden = bytearray(len(text))
    for i in range(len(text) - size + 1):
        if text[i : i + size] in parts:
            hidden[i : i + size] = b"\1" * size
    shown = [
        "" if hide and i and hidden[i - 1] else "..." if hide else letter
        for i, (letter, hide) in enumerate(zip(text, hidden, strict=True))
    ]
    return "".join(shown)


def in_parallel(work: Callable[[T], R], items: Sequence[T], threads: int) -> list[R]:
    """Return what ``work`` makes of each item, in order, by so many threads at once.

    The first exception is raised as soon as it arises, and no further item is begun then. Threads
    are daemons, so that Ctrl-C need not wait for a server.
    """
    todo: SimpleQueue[tuple[int, T]] = SimpleQueue()
    done: SimpleQueue[tuple[int, R | None, BaseException | None]] = SimpleQueue()
    over = threading.Event()
    for pair in enumerate(items):
        todo.put(pair)

    def go() -> None:
        while not over.is_set():
            try:
                place, item = todo.get_nowait()
            except Empty:
                return
            try:
                done.put((place, work(item), None))
            except BaseException as error:
                done.put((place, None, error))

    for _ in range(min(threads, len(items))):
        threading.Thread(target=go, daemon=True).start()
    found: dict[int, Any] = {}
    try:
        while len(found) < len(items):
            place, result, error = done.get()
            if error is not None:
                raise error
            found[place] = result
    finally:
        over.set()
    return [found[place] for place in range(len(items))]
