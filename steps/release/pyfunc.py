"""The released files as a pyfunc: what Spark, REST and Python load from the registry."""

import base64
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema
from mlflow.types.schema import AnyType
from PIL import Image

from edge.inference.record import INT8_FILE, MODEL_FILE, RECORD_FILE
from edge.inference.reference_images import REFERENCE_IMAGES_FILE
from steps.settings.profile import PROJECT

SHIPPED = ("edge/__init__.py", "edge/inference/*.py")
"""The code that travels with a version, and that its own code imports."""
MODEL_CODE = Path(__file__).with_name("pyfunc_model.py")
REQUIREMENTS = ("numpy", "onnxruntime", "pillow", "pybase64", "uvloop", "httptools")
"""All that the model needs besides mlflow; pinned to the versions that it was tested with.

pybase64 takes a twentieth of the time of Python's own base64. The last two are for `mlflow models
serve`: uvicorn takes them if it finds them. On asyncio's own loop and with more than one worker,
it would hold back every answer by 40 ms (uvicorn #3149).
"""

SIGNATURE = ModelSignature(
    Schema([ColSpec(AnyType(), "image"), ColSpec(AnyType(), "device", required=False)]),
    # the columns of every model; a probability of each label follows, and Unity Catalog wants some
    Schema([ColSpec("string", "label"), ColSpec("double", "score")]),
)

ARTIFACTS = {
    "model": MODEL_FILE,
    "record": RECORD_FILE,
    "int8": INT8_FILE,
    "reference": REFERENCE_IMAGES_FILE,
}


@contextmanager
def pyfunc_arguments(folder: Path) -> Iterator[dict[str, Any]]:
    """Give the arguments of :func:`mlflow.pyfunc.log_model` and ``save_model``.

    The model is code, not a pickle. Its columns ``image`` and, if there is one, ``device`` take
    anything by its signature, because MLflow decodes base64 for a binary column in only some
    forms of a request, and leniently; the model itself takes bytes and strict base64 and refuses
    the rest.

    Args:
        folder: holds ``model.onnx`` and ``record.json``, and the other files if there are any.
    """
    files = {name: folder / file for name, file in ARTIFACTS.items()}
    with tempfile.TemporaryDirectory() as code:
        for pattern in SHIPPED:
            for file in PROJECT.glob(pattern):
                copy = Path(code, file.relative_to(PROJECT))
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, copy)
        yield {
            "python_model": str(MODEL_CODE),
            "artifacts": {name: str(file) for name, file in files.items() if file.exists()},
            "code_paths": [f"{code}/edge"],
            "pip_requirements": [f"{package}=={version(package)}" for package in REQUIREMENTS],
            "signature": SIGNATURE,
            "input_example": pd.DataFrame({"image": [base64.b64encode(_grey()).decode()]}),
        }


def _grey() -> bytes:
    """Return an image that shows nothing: an example without private content."""
    file = io.BytesIO()
    Image.new("RGB", (64, 48), (128, 128, 128)).save(file, "JPEG")
    return file.getvalue()
