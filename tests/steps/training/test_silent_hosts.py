"""Horovod gives up a machine that says nothing more."""

import socket
from contextlib import closing, nullcontext

import pytest
from horovod.runner.common.util import network

from steps.training import silent_hosts
from steps.training.silent_hosts import silent_hosts_given_up


def _connect(address: tuple[str, int]) -> socket.socket:
    client = network.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.connect(address)
    return client


@pytest.mark.parametrize(("block", "probed"), [(silent_hosts_given_up, 1), (nullcontext, 0)])
def test_its_connections_are_probed_within_the_block_alone(block, probed):
    server = socket.create_server(("127.0.0.1", 0))
    with closing(server), block(), closing(_connect(server.getsockname())) as client:
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == probed
        assert client.gettimeout() is None  # a training may say nothing for hours


def test_a_machine_that_accepts_no_connection_is_given_up(monkeypatch):
    monkeypatch.setattr(silent_hosts, "REACHED", 0.2)
    server = socket.create_server(("127.0.0.1", 0), backlog=0)
    with (
        closing(server),
        closing(socket.create_connection(server.getsockname())),  # it is full
        silent_hosts_given_up(),
        pytest.raises(TimeoutError),
    ):
        _connect(server.getsockname())
