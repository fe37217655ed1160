"""A real HTTP server that speaks the part of the hub's API which a download needs, and fails when it is told to."""

import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from local_server import LocalServer

COMMIT = "607a30d783dfa663caf39e06633721c8d4cfcd7e"


@dataclass
class HubServer(LocalServer):
    """The files of `directory` as the repository `repo` at `commit`; use it in a with block.

    Set the faults between requests. `requests` has (method, path, Range header) of every request, in order.
    """

    directory: Path
    repo: str = "someone/tiny"
    commit: str = COMMIT
    large_suffixes: tuple[str, ...] = (".safetensors", ".bin")
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)

    moved_to: str | None = None  # the commit that the revision resolves to
    status: int | None = None  # the answer to everything
    corrupt: set[str] = field(default_factory=set)  # files sent with one byte changed
    dropped: set[str] = field(default_factory=set)  # files listed, but not there
    break_after: dict[str, int] = field(default_factory=dict)  # close the connection after so many bytes, once
    stall_after: dict[str, int] = field(default_factory=dict)  # send nothing more after so many bytes, once
    stalled: threading.Event = field(default_factory=threading.Event)
    page: bytes | None = None  # a login page in place of every answer

    def __enter__(self) -> "HubServer":
        self.serve(type("Handler", (Handler,), {"hub": self}))
        return self

    @property
    def url(self) -> str:
        return self.origin

    def requested(self, name: str) -> list[str | None]:
        """The Range header of every GET for the content of the file `name`."""
        paths = {f"/{self.repo}/resolve/{self.commit}/{name}"}
        if self.is_large(name):
            paths = {f"/large/{sha256(self.directory / name)}"}
        return [ranges for method, path, ranges in self.requests if method == "GET" and path in paths]

    def is_large(self, name: str) -> bool:
        return name.endswith(self.large_suffixes)

    def names(self) -> list[str]:
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*") if path.is_file())

    def sibling(self, name: str) -> dict[str, Any]:
        content = (self.directory / name).read_bytes()
        entry = {"rfilename": name, "blobId": blob_id(content), "size": len(content)}
        if self.is_large(name):
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256(self.directory / name)}\n"
            pointer += f"size {len(content)}\n"
            entry["blobId"] = blob_id(pointer.encode())
            entry["lfs"] = {
                "sha256": sha256(self.directory / name),
                "size": len(content),
                "pointerSize": len(pointer),
            }
        return entry


class Handler(BaseHTTPRequestHandler):
    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.requests.append((self.command, path, self.headers.get("Range")))
        if hub.status:
            self.answer(hub.status, {}, b'{"error": "refused"}')
        elif hub.page:
            self.answer(200, {"Content-Type": "text/html"}, hub.page)
        elif path.startswith(f"/api/models/{hub.repo}/revision/"):
            self.answer_listing(path.rsplit("/", 1)[1], "blobs=" in self.path)
        elif path.startswith(f"/{hub.repo}/resolve/"):
            revision, name = path.removeprefix(f"/{hub.repo}/resolve/").split("/", 1)
            self.answer_file(revision, name)
        elif path.startswith("/large/"):
            self.send_content(next(n for n in hub.names() if path == f"/large/{sha256(hub.directory / n)}"), {})
        else:
            self.answer(404, {"X-Error-Code": "RepoNotFound"}, b'{"error": "Repository not found"}')

    def answer_listing(self, revision: str, blobs: bool) -> None:
        hub = self.hub
        if revision != hub.commit:
            self.answer(404, {"X-Error-Code": "RevisionNotFound"}, b'{"error": "Invalid rev id"}')
            return
        siblings = [hub.sibling(name) if blobs else {"rfilename": name} for name in hub.names()]
        listing = {"id": hub.repo, "modelId": hub.repo, "sha": hub.moved_to or hub.commit, "siblings": siblings}
        self.answer(200, {"Content-Type": "application/json"}, json.dumps(listing).encode())

    def answer_file(self, revision: str, name: str) -> None:
        hub = self.hub
        if revision != hub.commit:
            self.answer(404, {"X-Error-Code": "RevisionNotFound"}, b"Invalid rev id")
        elif name in hub.dropped or name not in hub.names():
            self.answer(404, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": hub.commit}, b"Entry not found")
        elif hub.is_large(name):
            digest = sha256(hub.directory / name)
            size = str((hub.directory / name).stat().st_size)
            headers = {"X-Repo-Commit": hub.commit, "X-Linked-Etag": f'"{digest}"', "X-Linked-Size": size}
            self.answer(302, headers | {"Location": f"{hub.url}/large/{digest}"}, b"")
        else:
            etag = blob_id((hub.directory / name).read_bytes())
            self.send_content(name, {"X-Repo-Commit": hub.commit, "ETag": f'"{etag}"'})

    def send_content(self, name: str, headers: dict[str, str]) -> None:
        hub = self.hub
        content = (hub.directory / name).read_bytes()
        if name in hub.corrupt:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        status, whole = 200, len(content)
        if ranges := self.headers.get("Range"):
            begin = int(ranges.removeprefix("bytes=").split("-")[0])
            status, content = 206, content[begin:]
            headers = headers | {"Content-Range": f"bytes {begin}-{whole - 1}/{whole}"}
        if self.command == "GET" and (name in hub.break_after or name in hub.stall_after):
            stall = name in hub.stall_after
            sent = hub.stall_after.pop(name) if stall else hub.break_after.pop(name)
            self.answer(status, headers, content[:sent], length=len(content))
            self.wfile.flush()
            if stall:
                hub.stalled.set()
                hub.closing.wait(30)
            self.close_connection = True
            return
        self.answer(status, headers, content)

    def answer(self, status: int, headers: dict[str, str], body: bytes, length: int | None = None) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
