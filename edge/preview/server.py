"""Serves the page, the last frame, the status, and whether the device is well.

/           the page
/frame.jpg  the last frame
/status     what the device says of itself, as JSON
/scores     scores of the last day, enough for a curve, as JSON
/health     200 where the device is well, else 503 with its health_issues
/capture    POST: keep an image of now
"""

import io
import json
import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image

from edge.agent.agent import Agent
from edge.agent.status import health_issues
from edge.inference.errors import UserError
from edge.protocol.addresses import web_address

logger = logging.getLogger(__name__)

PAGE = Path(__file__).with_name("page.html")
HISTORY_SECONDS = 86_400
MOST_AT_ONCE = 8
REQUEST_SECONDS = 10
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
ASKED_BY_THE_PAGE = "X-Lakehouse-Vision"
"""A header that the page sends with a POST: no other site's page can do so unasked."""


class PreviewError(UserError):
    """The page cannot be served."""


class Preview(ThreadingHTTPServer):
    """The server, in a thread of its own.

    Args:
        agent: what it shows.
        host: an address of this machine, IPv4 or IPv6; on the loopback, only its own names are
            answered.
        port: 0 for any that is free.

    Raises:
        PreviewError: the address cannot be had.
    """

    daemon_threads = True

    def __init__(self, agent: Agent, host: str, port: int):
        self.agent, self.only_here = agent, host in LOOPBACK
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._places = threading.BoundedSemaphore(MOST_AT_ONCE)
        try:
            super().__init__((host, port), _Answers)
        except OSError as error:
            raise PreviewError(
                f"the page cannot be served at {web_address(host, port)} ({error.strerror}): "
                "change page.host or page.port"
            ) from error
        threading.Thread(target=self.serve_forever, name="preview", daemon=True).start()

    @property
    def address(self) -> str:
        """Where it is served."""
        return web_address(*self.server_address[:2])

    def server_bind(self) -> None:
        """Bind; where it is all addresses, then IPv4's too, whatever the system's default is."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request, client_address) -> None:
        """Answer in a thread, unless there are too many already."""
        if self._places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request, client_address) -> None:
        """Answer, and make place for the next one."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request, client_address) -> None:
        """A browser that went away is no event."""
        logger.debug("a request of %s broke off", client_address, exc_info=True)


class _Answers(BaseHTTPRequestHandler):
    timeout = REQUEST_SECONDS
    server: Preview

    def do_GET(self) -> None:
        if not self._is_from_here():
            return
        agent, parts = self.server.agent, self.server.agent.parts
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(PAGE.read_bytes(), "text/html; charset=utf-8")
        elif path == "/status":
            self._answer_json(agent.status())
        elif path == "/scores":
            rows = HISTORY_SECONDS / parts.settings.score.period_seconds
            self._answer_json(parts.results.history(max(round(rows), 1)))
        elif path == "/health":
            wrong = health_issues(parts, agent.sender)
            code = HTTPStatus.SERVICE_UNAVAILABLE if wrong else HTTPStatus.OK
            self._answer_json({"healthy": not wrong, "health_issues": wrong}, code)
        elif path == "/frame.jpg" and (image := parts.watcher.seen.image) is not None:
            self._answer(_jpeg(image), "image/jpeg")
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        if not self._is_from_here():
            return
        if self.path != "/capture":
            self.send_error(HTTPStatus.NOT_FOUND)
        elif ASKED_BY_THE_PAGE not in self.headers:
            self.send_error(HTTPStatus.FORBIDDEN, f"send the header {ASKED_BY_THE_PAGE}")
        else:
            self.server.agent.demand()
            self._answer_json({"asked": True}, HTTPStatus.ACCEPTED)

    def _is_from_here(self) -> bool:
        """Another site's name for this machine's address is not answered (DNS rebinding)."""
        host = self.headers.get("Host", "").rpartition(":")[0].strip("[]")
        if self.server.only_here and host not in LOOPBACK:
            self.send_error(HTTPStatus.FORBIDDEN, "open it as 127.0.0.1 or localhost")
            return False
        return True

    def _answer_json(self, content, code: HTTPStatus = HTTPStatus.OK) -> None:
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

    def log_message(self, text: str, *values) -> None:
        logger.debug(text, *values)


def _jpeg(image) -> bytes:
    if isinstance(image, bytes):
        return image
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "JPEG", quality=85)
    return encoded.getvalue()
