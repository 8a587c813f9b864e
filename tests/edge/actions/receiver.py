"""A server that webhooks are sent to; a test says how it answers."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver(ThreadingHTTPServer):
    """Keeps what it accepts; ``answers`` holds the status of the next answers, None to hang up."""

    daemon_threads = True

    def __init__(self, port: int = 0):
        super().__init__(("127.0.0.1", port), _Handler)
        self.answers, self.received, self.attempts = [], [], 0

    @property
    def states(self) -> list[str]:
        return [json.loads(body)["state"] for _, body, _ in self.received]

    def wait_for(self, count: int) -> list:
        end = time.monotonic() + 20
        while len(self.received) < count:
            assert time.monotonic() < end, f"{len(self.received)} of {count} came"
            time.sleep(0.005)
        return self.received


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body, at = self.rfile.read(int(self.headers["Content-Length"])), time.perf_counter()
        self.server.attempts += 1
        status = self.server.answers.pop(0) if self.server.answers else 204
        if status is None:
            return
        if status == 204:
            self.server.received.append((dict(self.headers), body, at))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self):
        self.send_response(405)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    server = Receiver(port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
