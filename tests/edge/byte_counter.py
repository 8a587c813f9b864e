"""Counts the bytes between a client and a server."""

import socket
import threading


class ByteCounter:
    """Passes on what comes to ``address`` to a server, and its answers back.

    Attributes:
        address: where it listens, on loopback.
        count: bytes so far, both ways.
    """

    def __init__(self, server: str):
        self._host, self._port = server.removeprefix("http://").split(":")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((self._host, self._port))
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        while content := source.recv(1 << 16):
            self.count += len(content)
            target.sendall(content)
        target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._listener.close()
