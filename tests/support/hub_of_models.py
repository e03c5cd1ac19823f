"""A server on this machine that takes pull requests on models as the Hugging Face hub does."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the hub has, and how it fails. ``card`` is the README.md of the model ``name``, None
    for none. A request whose path has ``at`` in it gets ``status``, or 0 for a connection that
    breaks, and in its words the Authorization that came with it. ``files`` are those of the pull
    request, ``parent`` its base, ``tokens`` what Authorization came."""

    name: str = "me/my-model"
    card: bytes | None = b"---\nlicense: mit\n---\n# Mine\n"
    at: str = "nowhere"
    status: int = 500
    files: dict[str, bytes] = field(default_factory=dict)
    parent: str = ""
    pull_requests: int = 0
    tokens: set[str] = field(default_factory=set)
    stored: dict[str, bytes] = field(default_factory=dict)
    address: str = ""


@contextlib.contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Run the hub; ``hub.address`` is where."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield hub
        server.shutdown()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def handle_one_request(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle_one_request()

    def _begin(self) -> tuple[str, bytes] | None:
        """Return path and body, None where the request has failed as it is to."""
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "")
        self.hub.tokens.add(token)
        if self.hub.at not in self.path:
            return path, body
        if not self.hub.status:
            self.connection.close()
            self.close_connection = True
            return None
        told = {"error": f"refused: {token}", "errors": [{"message": f"bad key, {token}"}]}
        self._json(told, self.hub.status, {"X-Error-Message": f"refused: {token}"})
        return None

    def do_GET(self) -> None:
        if (request := self._begin()) is None:
            return
        if request[0].startswith(f"/api/models/{self.hub.name}"):
            self._json({"id": self.hub.name, "sha": COMMIT, "siblings": [], "tags": []})
        elif self.hub.card is not None and request[0].endswith(f"/resolve/{COMMIT}/README.md"):
            self._send(self.hub.card, 200, {"ETag": '"mark"', "X-Repo-Commit": COMMIT})
        else:
            known = request[0].startswith(f"/{self.hub.name}/")
            code = "EntryNotFound" if known else "RepoNotFound"
            self._send(b"", 404, {"X-Error-Code": code, "X-Repo-Commit": COMMIT})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        if (request := self._begin()) is None:
            return
        path, body = request
        if path == "/api/validate-yaml":
            self._json({"warnings": [], "errors": []})
        elif "/preupload/" in path:
            files = json.loads(body)["files"]
            self._json({"files": [self._mode(f["path"]) for f in files]})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [self._lfs(each) for each in json.loads(body)["objects"]]
            self._json({"transfer": "basic", "objects": objects})
        elif found := re.fullmatch(rf"/api/models/{self.hub.name}/commit/(.*)", path):
            self._commit(found[1], body)
        else:
            self._send(b"", 404)

    def do_PUT(self) -> None:
        if (request := self._begin()) is not None:
            self.hub.stored[request[0].rsplit("/", 1)[-1]] = request[1]
            self._send(b"", 200)

    def _mode(self, path: str) -> dict[str, object]:
        mode = "lfs" if path.endswith(".png") else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False}

    def _lfs(self, each: dict[str, object]) -> dict[str, object]:
        upload = {"href": f"{self.hub.address}/store/{each['oid']}"}
        return each | {"authenticated": True, "actions": {"upload": upload}}

    def _commit(self, revision: str, body: bytes) -> None:
        assert "create_pr=1" in self.path
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                self.hub.parent = value["parentCommit"]
            elif line["key"] == "file":
                self.hub.files[value["path"]] = base64.b64decode(value["content"])
            else:
                self.hub.files[value["path"]] = self.hub.stored[value["oid"]]
        self.hub.pull_requests += 1
        where = f"{self.hub.address}/{self.hub.name}"
        self._json(
            {
                "commitOid": "f" * 40,
                "commitUrl": f"{where}/commit/{'f' * 40}",
                "pullRequestUrl": f"{where}/discussions/7",
                "success": True,
            }
        )

    def _json(self, value: object, status: int = 200, more: dict[str, str] | None = None) -> None:
        head = {"Content-Type": "application/json", **(more or {})}
        self._send(json.dumps(value).encode(), status, head)

    def _send(self, body: bytes, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, code: object = "-", size: object = "-") -> None:
        pass
