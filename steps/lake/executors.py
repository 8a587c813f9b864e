"""What Spark's executors on other machines need: this project's code, and the way to the stores."""

import hashlib
import io
import os
import zipfile
from pathlib import Path

from steps.settings.profile import PROJECT

PACKAGES = ("steps", "edge")
HANDED_ON = ("AWS_", "MLFLOW_TRACKING_")
"""How the variables of the environment begin that executors read object storage and MLflow by."""


def project_archive() -> str:
    """The path of a zip file with the project's packages.

    It is named by what is in it and stays: executors that come later fetch it too.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for package in PACKAGES:
            for file in sorted((PROJECT / package).rglob("*.py")):
                # without the time of a file, which says nothing of what is in it
                entry = zipfile.ZipInfo(file.relative_to(PROJECT).as_posix())
                archive.writestr(entry, file.read_bytes())
    name = hashlib.sha256(buffer.getvalue()).hexdigest()[:16]
    path = Path.home() / ".cache" / "lakehouse-vision" / "code" / f"lakehouse_vision-{name}.zip"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_bytes(buffer.getvalue())
        part.rename(path)
    return str(path)


def executor_environment() -> dict[str, str]:
    """The variables that are set here and that an executor cannot do without.

    Given to Spark's context, and not as `spark.executorEnv` in its settings: those stand on
    the command line of the driver's JVM, where anyone on the machine can read them.
    """
    return {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}


def executor_python_path() -> str:
    """`PYTHONPATH` of a process that an executor starts, by which it finds the project.

    That is the archive, which Spark puts into the executor's working folder, or this checkout
    where the executor is this machine.
    """
    return os.pathsep.join([Path(project_archive()).name, str(PROJECT)])
