"""What Spark's executors on other machines need: code, the stores, and the driver's address."""

import hashlib
import io
import os
import socket
import zipfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from edge.protocol.addresses import LOOPBACK
from steps.atomic import write_atomically
from steps.errors import UserError
from steps.pipeline.source_code import PACKAGES
from steps.settings.profile import PROJECT
from steps.terminal import VERBOSE

FORWARDED = (
    "AWS_",
    "FSSPEC_",
    "MLFLOW_TRACKING_",
    "KERAS_BACKEND",
    "TF_CPP_MIN_LOG_LEVEL",
    VERBOSE,
)
"""Prefixes of the environment variables by which executors reach object storage and MLflow, and
which decide how they compute and what they log."""


def project_archive() -> str:
    """Return the path of a zip file with the project's packages.

    It is named by its content and stays: executors that start later fetch it too.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in PACKAGES:
            for file in sorted((PROJECT / package).rglob("*.py")):
                # without the file's time, so that equal code has equal bytes
                entry = zipfile.ZipInfo(file.relative_to(PROJECT).as_posix())
                archive.writestr(entry, file.read_bytes())
    name = hashlib.sha256(buffer.getvalue()).hexdigest()[:16]
    path = Path.home() / ".cache" / "lakehouse-vision" / "code" / f"lakehouse_vision-{name}.zip"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(str(path), buffer.getvalue())
    return str(path)


def executor_environment() -> dict[str, str]:
    """Return the environment variables that executors need too.

    They go to Spark's context, not into its settings as `spark.executorEnv`: those stand on the
    command line of the driver's JVM, which everyone on the machine can read.
    """
    return {name: value for name, value in os.environ.items() if name.startswith(FORWARDED)}


def executor_python_path() -> str:
    """Return the `PYTHONPATH` by which a process that an executor starts finds the project.

    It names the archive, which Spark puts into the executor's working folder, and this checkout
    in case the executor is this machine.
    """
    return os.pathsep.join([Path(project_archive()).name, str(PROJECT)])


def driver_address(master: str) -> str | None:
    """Return the address of this machine that a standalone master and its workers reach.

    Spark would announce the machine's name. Workers may not resolve it, and on Debian it is a
    loopback address here: executors then fail to connect, one after the other. None if a user
    chose the address (``SPARK_LOCAL_IP``), or the master's name does not resolve, or only here, to
    a loopback address: Spark then chooses.

    Raises:
        UserError: the master's port is none.
    """
    first = urlsplit(master.partition(",")[0])
    if first.scheme != "spark" or os.environ.get("SPARK_LOCAL_IP"):
        return None
    try:
        host, port = first.hostname or "", first.port or 7077
    except ValueError as error:
        raise UserError(f"Spark's master {master!r} has no valid port: {error}") from None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way, suppress(OSError):
        way.connect((host, port))  # sends nothing
        address = str(way.getsockname()[0])
        is_meant = host in LOOPBACK or host.startswith("127.")
        return address if is_meant or not address.startswith("127.") else None
    return None
