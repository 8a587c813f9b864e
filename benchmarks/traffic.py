"""Counts what goes over a connection."""

import socket
import threading
from urllib.parse import urlsplit


class Counted:
    """A way to a server that counts the bytes in both directions, headers and all.

    Args:
        server: the server's address.

    Attributes:
        address: where to connect instead.
        bytes: counted so far.

    Example::

        with Counted("http://127.0.0.1:5000") as way:
            requests.get(way.address)
        print(way.bytes)
    """

    def __init__(self, server: str):
        self._server = urlsplit(server)
        self._count = threading.Lock()
        self.bytes = 0

    def __enter__(self) -> "Counted":
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:  # closed
                return
            far = socket.create_connection((self._server.hostname, self._server.port))
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        try:
            while content := source.recv(1 << 16):
                with self._count:
                    self.bytes += len(content)
                target.sendall(content)
            target.shutdown(socket.SHUT_WR)
        except OSError:  # the other side has gone
            pass
