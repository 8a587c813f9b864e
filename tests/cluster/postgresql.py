"""A PostgreSQL of its own in a folder, for MLflow's runs and its users."""

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from processes import HOST, free_port, start, stop, wait_for


@contextlib.contextmanager
def postgresql(home: Path) -> Iterator[str]:
    """A PostgreSQL with the databases mlflow and users; gives its URI up to their name."""
    folder, port, password = home / "postgresql", free_port(), secrets.token_urlsafe(12)
    folder.mkdir()
    secret = folder.with_suffix(".password")
    secret.write_text(password)
    # it refuses to run as root
    as_user: list[str] = []
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    programs = postgresql_programs()
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "check": True, "cwd": "/"}
    initdb = [programs / "initdb", "--no-sync", "-U", "mlflow", "-A", "scram-sha-256"]
    subprocess.run([*as_user, *initdb, f"--pwfile={secret}", "-D", data], **quiet)
    server = start(
        [
            *as_user,
            programs / "postgres",
            "-D",
            data,
            "-p",
            str(port),
            "-c",
            "fsync=off",
            "-c",
            f"listen_addresses={HOST}",
            "-c",
            "unix_socket_directories=",
        ],
        home / "postgresql.log",
        {},
    )
    try:
        wait_for("PostgreSQL", lambda: socket.create_connection((HOST, port), 2).close() is None)
        createdb = [programs / "createdb", "-h", HOST, "-p", str(port), "-U", "mlflow"]
        for name in ("mlflow", "users"):
            wait_for(
                f"database {name}",
                lambda name=name: subprocess.run(
                    [*createdb, name], env=os.environ | {"PGPASSWORD": password}, check=True
                ),
            )
        yield f"postgresql://mlflow:{password}@{HOST}:{port}"
    finally:
        stop(server, signal.SIGINT)


def postgresql_programs() -> Path:
    """Where Debian keeps the programs of the newest PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    if not found:
        sys.exit("there is no PostgreSQL here; run: sudo apt-get install postgresql")
    return found[-1]
