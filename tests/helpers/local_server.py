"""A real HTTP server on this machine, in a thread of its own, for as long as a with block lasts."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is none of the server's business."""


class LocalServer:
    """What servers of tests have in common. Their __enter__ calls serve(). `closing`: set when the block ends, for
    handlers that wait."""

    server: Server
    closing: threading.Event

    def serve(self, handler: type[BaseHTTPRequestHandler]) -> None:
        """Answer requests, on a free port of 127.0.0.1."""
        self.closing = threading.Event()
        self.server = Server(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"
