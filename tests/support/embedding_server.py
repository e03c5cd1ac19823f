"""A server of embeddings on this machine that behaves as OpenAI's do, or badly."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Asked:
    """A request: its number (from 0), path, headers and body."""

    number: int
    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def texts(self) -> list[str]:
        return self.body["input"]


@dataclass(frozen=True)
class Reply:
    """What is answered, ``after`` some seconds; of ``content`` only the first ``cut`` bytes come
    before the server hangs up."""

    status: int = 200
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    cut: int | None = None


def as_json(value: object, status: int = 200, **more: Any) -> Reply:
    headers = {"Content-Type": "application/json", **more.pop("headers", {})}
    return Reply(status, json.dumps(value).encode(), headers, **more)


def refusal(status: int, message: str, **more: Any) -> Reply:
    return as_json({"error": {"message": message, "type": "some_type"}}, status, **more)


@dataclass
class EmbeddingSite:
    """A server whose vector of a text follows from the text, the role (``input_type``), the model
    and ``weights``. ``replies`` may answer a request in its own way, or return None."""

    dimension: int = 8
    weights: str = "1"
    replies: Callable[[Asked], Reply | None] = lambda asked: None
    asked: list[Asked] = field(default_factory=list)
    most_at_once: int = 0
    address: str = ""
    path: str = "/v1/embeddings"

    def vector(self, text: str, body: Mapping[str, Any]) -> list[float]:
        about = f"{self.weights} {body['model']} {body.get('input_type')} {text}"
        seed = int.from_bytes(hashlib.sha256(about.encode()).digest()[:8], "little")
        size = body.get("dimensions", self.dimension)
        return np.random.default_rng(seed).standard_normal(size).astype(np.float32).tolist()

    def items(self, asked: Asked) -> list[dict[str, Any]]:
        return [
            {"object": "embedding", "index": place, "embedding": self.vector(text, asked.body)}
            for place, text in enumerate(asked.texts)
        ]

    def answer(self, asked: Asked) -> Reply:
        reply = self.replies(asked)
        return as_json({"object": "list", "data": self.items(asked)}) if reply is None else reply

    @property
    def texts(self) -> list[str]:
        return [text for each in self.asked for text in each.texts]


@dataclass
class RerankSite(EmbeddingSite):
    """A server that scores documents by their first vector coordinates, the best first; with
    ``tei`` in the format of Text Embeddings Inference."""

    path: str = "/v1/rerank"
    tei: bool = False

    def score(self, query: str, document: str, model: str) -> float:
        return self.vector(f"{query} {document}", {"model": model})[0]

    def items(self, asked: Asked) -> list[dict[str, Any]]:
        texts, name = ("texts", "score") if self.tei else ("documents", "relevance_score")
        about = asked.body["query"], asked.body.get("model", "one")
        found = [
            {"index": place, name: self.score(about[0], document, about[1])}
            for place, document in enumerate(asked.body[texts])
        ]
        return sorted(found, key=lambda item: -item[name])

    def answer(self, asked: Asked) -> Reply:
        reply = self.replies(asked)
        made = self.items(asked) if self.tei else {"results": self.items(asked)}
        return as_json(made) if reply is None else reply


@contextlib.contextmanager
def embedding(site: EmbeddingSite) -> Iterator[EmbeddingSite]:
    """Run a server; ``site.address`` is the base URL."""
    handler = type("Handler", (_Handler,), {"site": site, "lock": threading.Lock(), "busy": [0]})
    with _Server(("127.0.0.1", 0), handler) as server:
        site.address = f"http://127.0.0.1:{server.server_port}/v1"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield site
        server.shutdown()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing where a client hangs up."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    site: EmbeddingSite
    lock: threading.Lock
    busy: list[int]

    def do_GET(self) -> None:
        """A redirect that is followed would come as this."""
        self._send(refusal(418, "asked by GET"))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with self.lock:
            self.busy[0] += 1
            self.site.most_at_once = max(self.site.most_at_once, self.busy[0])
            asked = Asked(len(self.site.asked), self.path, dict(self.headers), json.loads(raw))
            self.site.asked.append(asked)
        try:
            right = self.path == self.site.path
            self._send(self.site.answer(asked) if right else refusal(404, "no such path"))
        finally:
            with self.lock:
                self.busy[0] -= 1

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.after)
        if reply.cut == 0:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in {**reply.headers, "Content-Length": len(reply.content)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(reply.content[: reply.cut])
        self.close_connection = reply.cut is not None

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass
