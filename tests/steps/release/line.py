"""A line to an HTTP server that goes away at a chosen request."""

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import NamedTuple


class Request(NamedTuple):
    """One that went over the line."""

    method: str
    path: str

    @property
    def of_artifacts(self) -> bool:
        return "/mlflow-artifacts/" in self.path

    @property
    def changes(self) -> bool:
        """Whether it may leave something behind on the server."""
        return self.method != "GET" and not self.path.partition("?")[0].endswith("/search")


class Line:
    """Stands between a client and a server, and keeps what was asked of it.

    Attributes:
        address: where the client finds the server.
        requests: what came since the last :meth:`break_at`.
    """

    def __init__(self, port: int):
        self.requests: list[Request] = []
        self._port, self._lock = port, Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self.break_at(None)

    @contextmanager
    def open(self) -> Iterator["Line"]:
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def break_at(self, number: int | None, fault: "str | Callable[[], None]" = "gone") -> None:
        """Count from here, and break at a request.

        Args:
            number: from 1; None: never.
            fault: ``gone``: it and all after it are not delivered; ``answer lost``: it still is;
                or what else happens before it is delivered.
        """
        self.requests, self._break_at, self._fault = [], number, fault

    def _deliver(self, request: Request) -> tuple[bool, bool]:
        """Whether it reaches the server, and whether the answer comes back."""
        with self._lock:
            self.requests.append(request)
            count = len(self.requests)
        if self._break_at is None or count < self._break_at:
            return True, True
        if callable(self._fault):
            if count == self._break_at:
                self._fault()
            return True, True
        return self._fault == "answer lost" and count == self._break_at, False

    def _handler(line) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def pass_on(self) -> None:
                assert "chunked" not in self.headers.get("Transfer-Encoding", "")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                there, back = line._deliver(Request(self.command, self.path))
                if there:
                    server = http.client.HTTPConnection("127.0.0.1", line._port, timeout=60)
                    server.request(self.command, self.path, body, dict(self.headers))
                    answer = server.getresponse()
                    content = answer.read()
                    server.close()
                if not back:
                    self.close_connection = True
                    return
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

            def log_message(self, *_: object) -> None:
                pass

        return Handler
