"""A server that answers the two routes of a registry, with the fault that a test asks for."""

import base64
import http.server
import json
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tiny_model import statement

from edge.protocol.signature import signed_content

MODEL = "brightness"
KEY = Ed25519PrivateKey.from_private_bytes(bytes([1]) * 32)
PUBLIC_KEY = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()


class ReleaseServer:
    """Has released what :meth:`release` was given last.

    Attributes:
        address: where it listens, on loopback.
        fault: called with the handler, before it answers; true where it has answered itself.
        alter: changes the bytes of an answer: of the statement or of a file, by its name.
        freshness: the freshness statement that comes with the release.
        requests: (path, headers) of each request.
        sent: bytes of the bodies of the files.
    """

    def __init__(self, context: ssl.SSLContext | None = None):
        self.fault: Callable[[Handler], bool] = lambda handler: False
        self.alter: Callable[[str, bytes], bytes] = lambda name, content: content
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.sent = 0
        self.statement, self.folder, self.freshness = "", Path(), ""
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.releases = self
        scheme = "http"
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self.address = f"{scheme}://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def release(self, folder: Path, number: int) -> None:
        """Release a folder's files, signed, as the version with the release's number."""
        stated = statement(folder, MODEL, str(number), number)
        signature = KEY.sign(signed_content(stated))
        stated["signatures"] = {PUBLIC_KEY: base64.b64encode(signature).decode()}
        self.statement, self.folder = json.dumps(stated), folder

    def fetched(self) -> list[str]:
        """Names of the files that were asked for since the last call."""
        files = [_asked(path) for path, _ in self.requests if "get-artifact" in path]
        self.requests.clear()
        return files

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_GET(self):
        releases = self.server.releases
        releases.requests.append((self.path, dict(self.headers)))
        if releases.fault(self):
            return
        if "get-artifact" in self.path:
            name = _asked(self.path)
            content = releases.alter(name, (releases.folder / name).read_bytes())
            self.send_file(content)
        else:
            text = releases.alter("statement", releases.statement.encode())
            tag = {"key": "release", "value": text.decode("utf-8", "replace")}
            version = json.loads(releases.statement)["version"]
            tags = [tag, {"key": "freshness.champion", "value": releases.freshness}]
            answer = {"model_version": {"name": MODEL, "version": version, "tags": tags}}
            self.send(200, json.dumps(answer).encode())

    def send_file(self, content: bytes):
        begin = int(self.headers.get("Range", "bytes=0-")[6:-1])
        part = content[begin:]
        self.server.releases.sent += len(part)
        if begin and not part:
            self.send(416, b"")
        elif begin:
            where = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            self.send(206, part, {"Content-Range": where})
        else:
            self.send(200, part)

    def send(self, status: int, content: bytes, headers=None, length: int | None = None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


def _asked(path: str) -> str:
    """The name of the file that a request wants."""
    return parse_qs(urlsplit(path).query)["path"][0].rsplit("/", 1)[-1]


def is_file(handler: Handler, name: str = "") -> bool:
    """Whether a request wants a file, or the one of a name."""
    return "get-artifact" in handler.path and name in handler.path


def cut(handler: Handler) -> bool:
    """Files break off half-way."""
    if is_file(handler):
        releases = handler.server.releases
        content = (releases.folder / _asked(handler.path)).read_bytes()
        begin = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        rest = len(content) - begin
        handler.send(
            206 if begin else 200,
            content[begin : begin + (rest + 1) // 2],
            {"Content-Range": f"bytes {begin}-/"} if begin else None,
            rest,
        )
        handler.close_connection = True
    return is_file(handler)


def endless(handler: Handler) -> bool:
    """Files never end."""
    if is_file(handler):
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(1 << 16))
        except OSError:
            handler.close_connection = True
    return is_file(handler)


def trickling(handler: Handler) -> bool:
    """Files come a byte at a time."""
    if is_file(handler):
        content = (handler.server.releases.folder / _asked(handler.path)).read_bytes()
        handler.send(200, b"", length=len(content))
        try:
            for byte in content:
                handler.wfile.write(bytes([byte]))
                time.sleep(0.01)
        except OSError:
            handler.close_connection = True
    return is_file(handler)
