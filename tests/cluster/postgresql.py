"""A PostgreSQL of its own in a folder, for MLflow's runs and its users."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from places import HERE, Place
from processes import free_port, start, stop, wait_for


@contextlib.contextmanager
def postgresql(home: Path, place: Place = HERE) -> Iterator[str]:
    """A PostgreSQL with the databases mlflow and users; gives its URI up to their name.

    It answers at the loopback address of the place.
    """
    folder, port, password = home / "postgresql", free_port(), secrets.token_urlsafe(12)
    place.file(folder).mkdir()
    secret = folder.with_suffix(".password")
    place.file(secret).write_text(password)
    # it refuses to run as root
    as_user: list[str] = []
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(place.file(path), "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    programs = postgresql_programs()
    data = folder / "data"
    quiet = {"stdout": subprocess.DEVNULL, "check": True, "cwd": "/"}
    initdb = [programs / "initdb", "--no-sync", "-U", "mlflow", "-A", "scram-sha-256"]
    subprocess.run([*place.enter, *as_user, *initdb, f"--pwfile={secret}", "-D", data], **quiet)
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
            f"listen_addresses={HERE.address}",
            "-c",
            "unix_socket_directories=",
        ],
        home / "postgresql.log",
        {},
        place,
    )
    try:
        createdb = [*place.enter, programs / "createdb", "-h", HERE.address, "-p", str(port)]
        createdb += ["-U", "mlflow"]
        for name in ("mlflow", "users"):
            wait_for(
                f"database {name}",
                lambda name=name: subprocess.run(
                    [*createdb, name],
                    env=os.environ | {"PGPASSWORD": password},
                    check=True,
                    stderr=subprocess.DEVNULL,  # until it is up
                ),
            )
        yield f"postgresql://mlflow:{password}@{HERE.address}:{port}"
    finally:
        stop(server, signal.SIGINT)


def postgresql_programs() -> Path:
    """Where Debian keeps the programs of the newest PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parts[-2]))
    if not found:
        sys.exit("there is no PostgreSQL here; run: sudo apt-get install postgresql")
    return found[-1]
