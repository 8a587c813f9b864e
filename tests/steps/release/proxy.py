"""A proxy of an HTTP server that fails at a chosen request."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import NamedTuple


class Request(NamedTuple):
    """A request that the proxy received."""

    method: str
    path: str

    @property
    def of_artifacts(self) -> bool:
        return "/mlflow-artifacts/" in self.path

    @property
    def changes(self) -> bool:
        """Whether it may leave something behind on the server."""
        return self.method != "GET" and not self.path.partition("?")[0].endswith("/search")


class Proxy:
    """A proxy between a client and a server that records the requests.

    Attributes:
        address: the proxy's, for the client.
        requests: those since the last :meth:`break_at`.
    """

    def __init__(self, port: int):
        self.requests: list[Request] = []
        self._port, self._lock = port, Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self.break_at(None)

    @contextmanager
    def open(self) -> Iterator["Proxy"]:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def break_at(
        self, number: int | None, fault: "str | Callable[[], None]" = "unreachable"
    ) -> None:
        """Count requests from here, and fail at one of them.

        Args:
            number: of the request, from 1; None: none fails.
            fault: ``unreachable``: it and all later ones are not delivered; ``response lost``: it
                still is, but not its response; or a function that is called before it is delivered.
        """
        self.requests, self._break_at, self._fault = [], number, fault

    def _deliver(self, request: Request) -> tuple[bool, bool]:
        """Return whether it reaches the server, and whether the response comes back."""
        with self._lock:
            self.requests.append(request)
            count = len(self.requests)
        if self._break_at is None or count < self._break_at:
            return True, True
        if callable(self._fault):
            if count == self._break_at:
                self._fault()
            return True, True
        return self._fault == "response lost" and count == self._break_at, False

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self) -> None:
                assert "chunked" not in self.headers.get("Transfer-Encoding", "")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                reaches_server, comes_back = proxy._deliver(Request(self.command, self.path))
                if reaches_server:
                    server = http.client.HTTPConnection("127.0.0.1", proxy._port, timeout=60)
                    server.request(self.command, self.path, body, dict(self.headers))
                    response = server.getresponse()
                    content = response.read()
                    server.close()
                if not comes_back:
                    self.close_connection = True
                    return
                self.send_response_only(response.status)
                for name, value in response.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        return Handler
