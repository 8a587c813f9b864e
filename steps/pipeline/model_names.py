"""What a registered model is called if neither the profile nor a parameter names it."""

import re
import unicodedata
from typing import Any

from steps.pipeline.outputs import IngestOutputs, RegisterOutputs, TrainOutputs
from steps.pipeline.run_files import read_outputs
from steps.pipeline.runs import newest_runs
from steps.settings.parameters import RELEASED

MODEL = "model"
"""Tag of a run: the registered model that it works on."""

UNSAFE = re.compile(r"[^\w-]+")
LONGEST = 100
LANDING, DEFAULT = "landing", "package"
"""A landing zone says nothing of its images: the simulated camera's show packages."""


def name_model(source: str) -> str:
    """Return the name of the model that is trained on a source: the source's last folder.

    >>> name_model("file:/home/me/My shoes!"), name_model("s3a://vision/landing")
    ('My-shoes', 'package')
    """
    folder = unicodedata.normalize("NFC", source.rstrip("/").rpartition("/")[2])
    safe = UNSAFE.sub("-", folder).strip("-")[:LONGEST]
    # else its name could be that of another model's release
    safe = re.sub(f"({RELEASED})+$", "", safe, flags=re.IGNORECASE)
    return DEFAULT if safe.lower() in (LANDING, "") else safe


def released_name(model: str) -> str:
    """Return the name of the registered model under which a Keras model is released, as ONNX."""
    return model + RELEASED


def find_model(parameters: Any, inputs: dict[str, str]) -> str:
    """Return the name of the model of a step, by its inputs or else by the newest run that has one.

    Args:
        parameters: of the step.
        inputs: run ID by step.
    """
    if train := inputs.get("train"):
        return name_model(read_outputs(train, TrainOutputs).selection.source)
    if "register" in inputs and not getattr(parameters, "version", None):
        return read_outputs(inputs["register"], RegisterOutputs).model
    if ingest := inputs.get("ingest"):
        of_images = name_model(read_outputs(ingest, IngestOutputs).source)
        if _newest_model(f"= '{of_images}'"):
            return of_images
    return _newest_model("!= ''") or DEFAULT


def _newest_model(which: str) -> str | None:
    """Return the tag of the newest finished run of this experiment that has such a one."""
    found = newest_runs(f"tags.{MODEL} {which} and attributes.status = 'FINISHED'", count=1)
    return str(found[0].data.tags[MODEL]) if found else None
