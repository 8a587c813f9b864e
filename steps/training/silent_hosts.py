"""Horovod's connections to ranks on other machines, which end where such a machine is gone."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

REACHED = 20
"""Seconds in which a machine has to accept a connection."""

IDLE, BETWEEN, PROBES = 30, 10, 9
"""Seconds until a silent machine is probed, and between so many probes: two minutes."""


class _ProbingSocket(socket.socket):
    """A connection that fails once the other machine has been silent for two minutes."""

    def connect(self, address: Any) -> None:
        self.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, BETWEEN)
        self.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        own = self.gettimeout()
        self.settimeout(own or REACHED)
        super().connect(address)
        self.settimeout(own)


@contextmanager
def silent_hosts_given_up() -> Iterator[None]:
    """Let Horovod give up a machine that is gone: it (0.28.1) waits for a rank without a limit."""
    from horovod.runner.common.util import network

    network.socket = SimpleNamespace(**vars(socket) | {"socket": _ProbingSocket})
    try:
        yield
    finally:
        network.socket = socket
