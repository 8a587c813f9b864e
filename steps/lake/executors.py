"""What Spark's executors on other machines need: this project's code, and the way to the stores."""

import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steps.settings.profile import PROJECT

PACKAGES = ("steps", "edge")
HANDED_ON = ("AWS_", "MLFLOW_TRACKING_")
"""How the variables of the environment begin that executors read object storage and MLflow by."""


@contextmanager
def project_archive() -> Iterator[str]:
    """The path of a zip file with the project's packages, which is gone after the block."""
    with tempfile.TemporaryDirectory(prefix="lakehouse-vision-") as folder:
        path = Path(folder, "lakehouse_vision.zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for package in PACKAGES:
                for file in sorted((PROJECT / package).rglob("*.py")):
                    archive.write(file, file.relative_to(PROJECT))
        yield str(path)


def executor_environment() -> dict[str, str]:
    """The variables that are set here and that an executor cannot do without.

    Given to Spark's context, and not as `spark.executorEnv` in its settings: those stand on
    the command line of the driver's JVM, where anyone on the machine can read them.
    """
    return {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
