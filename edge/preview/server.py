"""Serves the page, the last frame, the status, and whether the device is healthy.

/           the page
/frame.jpg  the last frame
/status     the device's status, as JSON
/scores     points of the curve of the last day's scores, as JSON
/kept       the images that were kept last, as JSON, and /kept/<id>.jpg each of them, smaller
/health     200 if the device is healthy, else 503; with its health_issues and how long ago each
            thread finished a round
/capture    POST: keep the next frame
"""

import json
import logging
import re
import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from edge.cameras.jpeg import encode_pixels
from edge.inference.errors import UserError
from edge.preview.source import PreviewSource
from edge.protocol.addresses import LOOPBACK, web_address

logger = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("page.html")
MAX_REQUESTS = 8
REQUEST_SECONDS = 10
Request = socket.socket | tuple[bytes, socket.socket]
LOCAL_HOST = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)
"""Of a request to this machine, as a browser writes it."""

KEPT = ("id", "at", "reason", "label")
"""Of a kept image, what the page shows beside it."""

PAGE_HEADER = "X-Lakehouse-Vision"
"""A header of the page's POST requests, which a browser lets no other site's page send."""


class PreviewError(UserError):
    """The preview page cannot be served."""


class Preview(ThreadingHTTPServer):
    """The page's server, in a thread of its own.

    Args:
        source: what it shows.
        host: an address of this machine, IPv4 or IPv6. On the loopback, requests must name the
            loopback as their host.
        port: 0 for any free one.

    Raises:
        PreviewError: the address cannot be used.
    """

    daemon_threads = True

    def __init__(self, source: PreviewSource, host: str, port: int):
        self.source, self.is_local = source, host in LOOPBACK
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._lock, self._open = threading.Lock(), list[socket.socket]()
        try:
            super().__init__((host, port), _Handler)
        except OSError as error:
            raise PreviewError(
                f"cannot serve the page at {web_address(host, port)} ({error.strerror}): "
                "change page.host or page.port"
            ) from error
        threading.Thread(target=self.serve_forever, name="preview", daemon=True).start()

    @property
    def address(self) -> str:
        """The URL of the page."""
        host, port = self.server_address[:2]
        return web_address(str(host), port)

    def server_bind(self) -> None:
        """Bind; all addresses of IPv6 include those of IPv4, whatever the system's default is."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Request, client_address: Any) -> None:
        """Answer in a thread; of too many requests, the oldest ends: slow clients wait, no others.

        The answers themselves take milliseconds.
        """
        with self._lock:
            self._open.append(cast(socket.socket, request))
            if len(self._open) > MAX_REQUESTS:
                with suppress(OSError):  # its thread ends, and closes it
                    self._open.pop(0).shutdown(socket.SHUT_RDWR)
        super().process_request(request, client_address)

    def process_request_thread(self, request: Request, client_address: Any) -> None:
        """Answer, and forget the request."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock, suppress(ValueError):
                self._open.remove(cast(socket.socket, request))

    def handle_error(self, request: Request, client_address: Any) -> None:
        """Log at debug level: a browser may close its connection at any time."""
        logger.debug("a request of %s was interrupted", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    timeout = REQUEST_SECONDS
    server: Preview

    def do_GET(self) -> None:
        if not self._is_allowed():
            return
        source = self.server.source
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(PAGE.read_bytes(), "text/html; charset=utf-8")
        elif path == "/status":
            self._answer_json(source.status())
        elif path == "/scores":
            self._answer_json(source.score_history())
        elif path == "/kept":
            kept = source.recent_images()
            self._answer_json([{key: getattr(one, key) for key in KEPT} for one in kept])
        elif path == "/health":
            issues = source.health_issues()
            code = HTTPStatus.SERVICE_UNAVAILABLE if issues else HTTPStatus.OK
            health = {"healthy": not issues, "health_issues": issues}
            self._answer_json(health | {"seconds_since_round": source.seconds_since_round()}, code)
        elif path == "/frame.jpg" and (image := source.last_frame()) is not None:
            jpeg = image if isinstance(image, bytes) else encode_pixels(image)
            self._answer(jpeg, "image/jpeg")
        elif found := [one for one in source.recent_images() if path == f"/kept/{one.id}.jpg"]:
            self._answer(found[0].jpeg, "image/jpeg")
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        if not self._is_allowed():
            return
        if self.path != "/capture":
            self.send_error(HTTPStatus.NOT_FOUND)
        elif PAGE_HEADER not in self.headers:
            self.send_error(HTTPStatus.FORBIDDEN, f"send the header {PAGE_HEADER}")
        else:
            self.server.source.trigger()
            self._answer_json({"triggered": True}, HTTPStatus.ACCEPTED)

    def _is_allowed(self) -> bool:
        """Refuse another site's name for this machine's address (DNS rebinding)."""
        if self.server.is_local and not LOCAL_HOST.fullmatch(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.FORBIDDEN, "open it as 127.0.0.1 or localhost")
            return False
        return True

    def _answer_json(self, content: Any, code: HTTPStatus = HTTPStatus.OK) -> None:
        self._answer(json.dumps(content).encode(), "application/json", code)

    def _answer(self, content: bytes, kind: str, code: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        logger.debug(format, *args)
