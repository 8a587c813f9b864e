"""Serves the page, its images and what it sends: on the loopback alone, or by TLS on one address.

The first part of each path is the token: who has the address may label, and no other page can.
"""

import errno
import ipaddress
import secrets
import socket
import threading

import uvicorn
from fastapi import FastAPI

from edge.protocol.addresses import LOOPBACK, web_address
from steps.errors import RUN, RunAgain, UserError
from steps.labelling.certificate import fingerprint_of, own_address
from steps.labelling.commits import Commits
from steps.labelling.guard import guard
from steps.labelling.journal import journal_folder
from steps.labelling.routes import acting, choosing, naming, reading
from steps.labelling.sitting import Sitting
from steps.labelling.training import Training
from steps.settings.profile import data_home


class Server:
    """The server of the labelling page, in a thread of its own until it is stopped.

    Args:
        sitting: what is labelled.
        port: 0 for any free one.
        host: of this machine; any but the loopback is served by TLS.
        command: that trains.

    Attributes:
        commits: what is written while it serves.
        training: what the page started.
        fingerprint: of the certificate; empty on the loopback.

    Raises:
        UserError: the host is not this machine, or the port cannot be used.
    """

    def __init__(self, sitting: Sitting, port: int, host: str = "127.0.0.1", command: str = RUN):
        self.over = threading.Event()
        self.token, host = secrets.token_urlsafe(18), host.lower()
        self._socket = _listen(host, port)
        # accepted ones inherit it: asyncio sets it for none, and Nagle's algorithm costs 40 ms
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = int(self._socket.getsockname()[1])
        self.commits = Commits(sitting.profile, sitting.journal)
        self.training = Training(command, journal_folder(sitting.profile))
        self.fingerprint, pem, place = "", None, web_address(host, self.port)
        if host not in LOOPBACK:
            pem = data_home() / "data" / f"label-page-{host.replace(':', '-')}.pem"
            self.fingerprint = fingerprint_of(host, pem)
            place = place.replace("http", "https", 1)
        self.address = f"{place}/{self.token}/"
        app = FastAPI(openapi_url=None)
        guard(app, self.token, LOOPBACK if host in LOOPBACK else (host,))
        for routes in (
            reading(sitting),
            choosing(sitting),
            naming(sitting, self.commits),
            acting(sitting, self.commits, self.training, self.over.set),
        ):
            app.include_router(routes, prefix=f"/{self.token}")
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # it would print the token
            server_header=False,
            loop="asyncio",
            timeout_keep_alive=60,
            timeout_graceful_shutdown=3,
            ssl_certfile=pem,
        )
        self._server = uvicorn.Server(config)
        serve = {"sockets": [self._socket]}
        self._thread = threading.Thread(target=self._server.run, kwargs=serve, daemon=True)
        self._thread.start()
        sitting.journal.show(self.address)

    def stop(self) -> None:
        """Answer the requests that run, and stop."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((_address_of(host, family), port), family=family)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise UserError(
                f"port {port} cannot be used ({error.strerror}); pass -P port=0 for any free one"
            ) from error
        raise UserError(
            f"{host} is not one address of this machine ({error.strerror})",
            RunAgain({"host": own_address()}),
        ) from error


def _address_of(host: str, family: socket.AddressFamily) -> str:
    """Return the one address of a host.

    Raises:
        OSError: it has none, or every one, or is a name by which only this machine knows itself.
    """
    found = socket.getaddrinfo(host or "0", 0, family, socket.SOCK_STREAM)
    address = str(found[0][4][0])
    parsed = ipaddress.ip_address(address)
    if (getattr(parsed, "ipv4_mapped", None) or parsed).is_unspecified:  # also 0, 0.0 or ::0
        raise OSError(errno.EADDRNOTAVAIL, "that is each of its addresses")
    if parsed.is_loopback and host not in (*LOOPBACK, address):
        raise OSError(errno.EADDRNOTAVAIL, f"it means {address}, which no other machine reaches")
    return address
