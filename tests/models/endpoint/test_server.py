from __future__ import annotations

import datetime
import socket
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from mlbench.common.errors import EnvironmentFault, MlbenchError, ModelError
from mlbench.models.endpoint import server
from mlbench.models.endpoint.server import (
    Address,
    Rejected,
    Server,
    asked_wait,
    in_parallel,
    without,
)
from tests.models.endpoint.conftest import KEY
from tests.support.embedding_server import (
    Asked,
    EmbeddingSite,
    Reply,
    as_json,
    embedding,
    refusal,
)

BODY = {"model": "m", "input": ["a text", "another"]}


def opened(site: EmbeddingSite, key: str | None = KEY, timeout: float = 5.0) -> Server:
    return Server(Address(site.address, key), "model openai:m", 2, timeout)


def first(count: int, reply: Reply) -> Callable[[Asked], Reply | None]:
    """The first requests are answered so, the others well."""
    return lambda asked: reply if asked.number < count else None


def shown(error: BaseException) -> str:
    """All that a user may ever see of an error, with --debug too."""
    return "".join(traceback.format_exception(error)) + repr(error)


def test_a_server_is_asked_with_the_key(site: EmbeddingSite) -> None:
    answer = opened(site).ask("embeddings", BODY)
    assert [item["index"] for item in answer["data"]] == [0, 1]
    (asked,) = site.asked
    assert (asked.path, asked.body) == ("/v1/embeddings", BODY)
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["Content-Type"] == "application/json"


def test_without_a_key_none_is_sent_even_if_netrc_has_one(
    site: EmbeddingSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    opened(site, key=None).ask("embeddings", BODY)
    opened(site).ask("embeddings", BODY)
    assert "Authorization" not in site.asked[0].headers
    assert site.asked[1].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "reply",
    [
        refusal(429, "slow down"),
        refusal(429, "slow down", headers={"Retry-After": "0"}),
        refusal(503, "loading the model"),
        refusal(500, "oops"),
        as_json({"data": []}, cut=0),
        as_json({"data": ["cut off here"]}, cut=9),
        Reply(content=b'{"data": [', headers={"Content-Type": "application/json"}),
    ],
    ids=["429", "429-after", "503", "500", "hung-up", "cut", "half-a-json"],
)
def test_what_may_pass_is_asked_again(site: EmbeddingSite, reply: Reply) -> None:
    here = opened(site)
    here.ask("embeddings", BODY)
    site.asked.clear()
    site.replies = first(2, reply)
    assert len(here.ask("embeddings", BODY)["data"]) == 2
    assert len(site.asked) == 3


def test_retry_after_is_waited_for(site: EmbeddingSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FIRST_WAIT", 200.0)
    site.replies = first(1, refusal(429, "slow down", headers={"Retry-After": "0.3"}))
    began = time.monotonic()
    opened(site).ask("embeddings", BODY)
    assert 0.3 <= time.monotonic() - began < 200


def test_all_wait_where_one_is_told_to(site: EmbeddingSite) -> None:
    """A server that is busy with one request is busy with all of them."""
    at: dict[int, float] = {}
    here = opened(site)

    def replies(asked: Asked) -> Reply:
        at[asked.number] = now = time.monotonic()
        while asked.number == 1 and not here._busy_until and time.monotonic() < now + 60:
            time.sleep(0.01)
        if asked.number == 0:
            return refusal(429, "slow down", headers={"Retry-After": "0.4"})
        return as_json({"data": []})

    site.replies = replies
    here.ask_all(lambda text: here.ask("embeddings", {**BODY, "input": [text]}), [*"abcd"])
    assert len(at) == 5
    assert min(at[number] for number in (2, 3, 4)) >= at[0] + 0.4


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (refusal(429, "slow down"), r"answers 429: slow down \(\d+ attempts within \d+ s\)"),
        (
            refusal(429, "later", headers={"Retry-After": "3600"}),
            "429: later, and asks to wait 3,600 s",
        ),
        (refusal(429, "buy more", headers={"x": "y"}), "429: buy more"),
        (refusal(500, "oops"), r"answers 500: oops \(3 attempts within"),
        (as_json({"data": []}, cut=5), r"the connection broke \(3 attempts"),
        (refusal(404, "no model 'm'"), "answers 404: no model 'm'"),
    ],
    ids=["429", "429-hour", "429-more", "500", "cut", "404"],
)
def test_what_does_not_pass_comes_to_an_end(
    site: EmbeddingSite, monkeypatch: pytest.MonkeyPatch, reply: Reply, message: str
) -> None:
    monkeypatch.setattr(server, "BUSY_SECONDS", 0.2)
    here = opened(site)
    here.ask("embeddings", BODY)
    site.replies = lambda asked: reply
    with pytest.raises(EnvironmentFault, match=message):
        here.ask("embeddings", BODY)


def test_an_account_without_money_is_the_end_at_once(site: EmbeddingSite) -> None:
    error = {"message": "You exceeded your quota", "code": "insufficient_quota"}
    site.replies = lambda asked: as_json({"error": error}, 429)
    with pytest.raises(EnvironmentFault, match="429: You exceeded your quota"):
        opened(site).ask("embeddings", BODY)
    assert len(site.asked) == 1


def test_a_slow_server_is_waited_for_and_one_too_slow_is_not(site: EmbeddingSite) -> None:
    site.replies = lambda asked: as_json({"data": []}, after=0.3)
    assert opened(site).ask("embeddings", BODY) == {"data": []}
    with pytest.raises(EnvironmentFault, match=r"no answer within 0.1 s \(3 attempts"):
        opened(site, timeout=0.1).ask("embeddings", BODY)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_server_that_is_not_there_is_not_waited_for(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "BROKEN_WAITS", (60.0,))
    here = Server(Address(f"http://{host}:{free_port()}/v1", KEY), "model openai:m", 2, 5.0)
    with pytest.raises(
        EnvironmentFault, match=r"(?s)no server answers: .*OPENAI_BASE_URL"
    ) as caught:
        here.ask("embeddings", BODY)
    assert KEY not in shown(caught.value)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_the_server_does_not_take(site: EmbeddingSite, status: int) -> None:
    site.replies = lambda asked: refusal(status, "batch size 2 > 1")
    with pytest.raises(Rejected, match=f"{status}: batch size 2 > 1"):
        opened(site).ask("embeddings", BODY)
    assert len(site.asked) == 1


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (
            Reply(content=b"<html>Hello</html>", headers={"Content-Type": "text/html; charset=x"}),
            "answers text/html instead of JSON",
        ),
        (Reply(content=b""), "answers something instead of JSON"),
        (as_json([1, 2]), "JSON, but a list and not an object"),
    ],
    ids=["html", "empty", "list"],
)
def test_an_answer_that_is_something_else(site: EmbeddingSite, reply: Reply, message: str) -> None:
    site.replies = lambda asked: reply
    with pytest.raises(ModelError, match=message):
        opened(site).ask("embeddings", BODY)


def echoes(status: int, headers: dict[str, str] | None = None) -> Reply:
    """An answer that holds the key in many places."""
    more = {"X-Key": KEY, "Content-Type": f"text/{KEY}", **(headers or {})}
    return Reply(status, f"wrong key {KEY} or {KEY[:9]}***{KEY[-8:]}".encode(), more)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 418, 429, 500, 503])
def test_a_key_is_never_shown(
    site: EmbeddingSite, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(server, "BUSY_SECONDS", 0.05)
    site.replies = lambda asked: echoes(status, {"Location": f"http://{KEY}.example/{KEY}"})
    with pytest.raises(MlbenchError) as caught:
        opened(site).ask("embeddings", BODY)
    text = shown(caught.value)
    assert [KEY[i : i + 6] for i in range(len(KEY) - 5) if KEY[i : i + 6] in text] == []
    if status in (401, 403):
        assert "refuses the key" in text


def test_a_key_that_is_missing_is_said(site: EmbeddingSite) -> None:
    site.replies = lambda asked: refusal(401, "no key")
    with pytest.raises(EnvironmentFault, match=r"(?s)none was given.*OPENAI_API_KEY"):
        opened(site, key=None).ask("embeddings", BODY)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(site: EmbeddingSite, status: int) -> None:
    with embedding(EmbeddingSite()) as other:
        target = f"{other.address}/embeddings"
        site.replies = lambda asked: Reply(status, headers={"Location": target})
        with pytest.raises(EnvironmentFault, match=f"another address .{status}.*not followed"):
            opened(site).ask("embeddings", BODY)
        assert other.asked == []
    assert len(site.asked) == 1


def test_what_a_server_says_is_one_line_of_print(site: EmbeddingSite) -> None:
    site.replies = lambda asked: refusal(404, "a\x1b[31m\nb\r" + "x" * 1000)
    with pytest.raises(EnvironmentFault) as caught:
        opened(site).ask("embeddings", BODY)
    found = caught.value.faults[0].found
    assert "404: a [31m b x" in found
    assert len(found) < 500
    site.replies = lambda asked: Reply(404, b"<html><title>Nothing here</title></html>")
    with pytest.raises(EnvironmentFault, match=r"answers 404\n"):
        opened(site).ask("embeddings", BODY)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
    ],
)
def test_how_long_a_server_asks_to_wait(given: dict[str, str], expected: float | None) -> None:
    now = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
    assert asked_wait(requests.structures.CaseInsensitiveDict(given), now) == expected


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("a text", None, "a text"),
        ("key abcdefgh!", "abcdefgh", "key ...!"),
        ("bcdefg and cdefgh", "abcdefgh", "... and ..."),
        ("abcde is too short to tell", "abcdefgh", "abcde is too short to tell"),
        ("x marks it", "x", "... marks it"),
        ("", "abcdefgh", ""),
    ],
)
def test_parts_of_a_key_are_hidden(text: str, key: str | None, expected: str) -> None:
    assert without(text, key) == expected


def test_many_at_once_keep_their_order() -> None:
    def work(item: int) -> int:
        time.sleep(0.002 * (7 - item % 7))
        return item * item

    assert in_parallel(work, range(50), 8) == [i * i for i in range(50)]
    assert in_parallel(work, [], 8) == []


def test_the_first_failure_ends_all() -> None:
    begun: list[int] = []
    release = threading.Event()

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            raise ValueError("three")
        if item > 3:
            release.wait(60)
        return item

    began = time.monotonic()
    with pytest.raises(ValueError, match="three"):
        in_parallel(work, range(100), 2)
    assert time.monotonic() - began < 60
    release.set()
    time.sleep(0.05)
    assert len(begun) <= 6
