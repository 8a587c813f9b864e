"""A total deadline for what a server sends: the timeout of a socket starts again with each byte."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any


class Deadline:
    """Cuts a client's connection when the time is over, whatever it waits for.

    Attributes:
        is_over: whether it did.
    """

    def __init__(self) -> None:
        self.is_over = False
        self._connection: socket.socket | None = None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Cut the connection if the block takes longer."""
        self.is_over = False
        timer = threading.Timer(seconds, self._cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def watch_all(self, manager: Any) -> None:
        """Watch each connection that one of urllib3's pool managers opens."""
        make = manager._new_pool

        def new_pool(*arguments: Any, **options: Any) -> Any:
            pool = make(*arguments, **options)
            pool.ConnectionCls = partial(_watched, pool.ConnectionCls, self)
            return pool

        manager._new_pool = new_pool

    def watch(self, connection: socket.socket) -> None:
        """Cut this connection instead of the one before, from its TLS handshake on."""
        if self._connection:
            self._connection.close()
        self._connection = connection.dup()  # TLS and http.client detach or close the original
        if self.is_over:
            self._cut()

    def _cut(self) -> None:
        self.is_over = True
        if self._connection:
            with suppress(OSError):  # it is closed already
                self._connection.shutdown(socket.SHUT_RDWR)


def _watched(kind: Any, deadline: Deadline, **options: Any) -> Any:
    connection = kind(**options)
    connect = connection._new_conn

    def connect_watched() -> socket.socket:
        opened: socket.socket = connect()
        deadline.watch(opened)
        return opened

    connection._new_conn = connect_watched
    return connection
