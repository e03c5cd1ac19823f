"""A web server on this machine that behaves well or badly, and speaks the hub's language."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Site:
    """What a server has, and how it fails.

    ``files`` maps a path to its content; below ``datasets/<owner>/<name>`` they also belong to a
    data set of the hub. The first ``drops`` answers with content break off after ``after`` bytes;
    the first ``busy`` are 503. ``asked`` notes method, path and Range of each request.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    drops: int = 0
    after: int = 0
    busy: int = 0
    ranges: bool = True
    etags: bool = True
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    address: str = ""

    def content(self, path: str) -> bytes | None:
        """Return the content of a path, of a data set's file at any revision."""
        found = re.fullmatch(r"(datasets/[^/]+/[^/]+)/resolve/[^/]+/(.*)", path)
        return self.files.get(f"{found[1]}/{found[2]}" if found else path)


@contextlib.contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Run a server; ``site.address`` is where."""
    handler = type("Handler", (_Handler,), {"site": site})
    with _Server(("127.0.0.1", 0), handler) as server:
        site.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield site
        server.shutdown()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing where a client hangs up, as some tests have it do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer goes out at once
    site: Site

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self._path()
        found = re.fullmatch(r"api/(datasets/[^/]+/[^/]+)/paths-info/([^/]+)", path)
        kind = self.headers.get("Content-Type", "")
        paths = json.loads(raw)["paths"] if "json" in kind else parse_qs(raw.decode())["paths"]
        self._json(
            [self._entry(found[1], p) for p in paths if f"{found[1]}/{p}" in self.site.files]
        )

    def _path(self) -> str:
        path = unquote(urlsplit(self.path).path).removeprefix("/")
        self.site.asked.append((self.command, path, self.headers.get("Range", "")))
        return path

    def _answer(self, body: bool) -> None:
        path = self._path()
        if found := re.fullmatch(r"api/(datasets)/([^/]+/[^/]+)(/revision/([^/]+))?", path):
            self._json(
                {"id": found[2], "sha": COMMIT, "siblings": [], "tags": [], "private": False}
            )
        elif found := re.fullmatch(r"api/(datasets/[^/]+/[^/]+)/tree/[^/]+/?(.*)", path):
            names = (
                n.removeprefix(f"{found[1]}/") for n in self.site.files if n.startswith(found[1])
            )
            self._json([self._entry(found[1], n) for n in names if n.startswith(found[2])])
        elif self.site.busy:
            self.site.busy -= 1
            self._head(503, 0)
        elif (content := self.site.content(path)) is None:
            self._head(404, 0, {"X-Error-Code": "EntryNotFound"})
        else:
            self._send(content, body)

    def _entry(self, repository: str, path: str) -> dict[str, object]:
        content = self.site.files[f"{repository}/{path}"]
        digest = hashlib.sha256(content).hexdigest()
        entry = {"type": "file", "path": path, "size": len(content), "oid": "0" * 40}
        if path.endswith((".gz", ".parquet")):
            entry["lfs"] = {"oid": digest, "size": len(content), "pointerSize": 100}
        return entry

    def _send(self, content: bytes, body: bool) -> None:
        mark = f'"{hashlib.sha256(content).hexdigest()}"'
        headers = {"x-repo-commit": COMMIT}
        if self.site.etags:
            headers["ETag"] = mark
        status, part = 200, content
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if wanted and self.site.ranges and self.headers.get("If-Range", mark) == mark:
            first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
            if first >= len(content):
                self._head(416, 0, {"Content-Range": f"bytes */{len(content)}"})
                return
            status, part = 206, content[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        self._head(status, len(part), headers)
        if not body:
            return
        if self.site.drops and len(part) > self.site.after:
            self.site.drops -= 1
            self.wfile.write(part[: self.site.after])
            self.close_connection = True
            return
        self.wfile.write(part)

    def _json(self, value: object) -> None:
        raw = json.dumps(value).encode()
        self._head(200, len(raw), {"Content-Type": "application/json"})
        self.wfile.write(raw)

    def _head(self, status: int, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass
