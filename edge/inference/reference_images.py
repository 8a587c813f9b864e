"""Reference images: a few that travel with a model, and the scores of each of its files for them.

A device that gets the same scores decodes, prepares and computes as the machine did that
released the model.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.inference.errors import UserError

REFERENCE_IMAGES_FILE = "reference_images.json"


@dataclass(frozen=True)
class ReferenceImage:
    """An encoded image and its expected probabilities.

    Attributes:
        content: its bytes.
        scores: by the name of the model's file, in the order of the record's labels.
        sha256: of the image that it was made of; empty: unknown.
    """

    content: bytes
    scores: dict[str, list[float]]
    sha256: str = ""


@dataclass(frozen=True)
class ReferenceImages:
    """The reference images of a model."""

    images: tuple[ReferenceImage, ...]

    @classmethod
    def read(cls, folder: Path) -> "ReferenceImages":
        """Read the file from a folder; raises :class:`UserError` if it is damaged or has none."""
        reference = cls.parse((folder / REFERENCE_IMAGES_FILE).read_bytes())
        if not reference.images:
            raise UserError(f"{REFERENCE_IMAGES_FILE} has no image")
        return reference

    @classmethod
    def parse(cls, text: bytes) -> "ReferenceImages":
        """Read what the file holds; raises :class:`UserError` if it is damaged."""
        try:
            images = tuple(
                ReferenceImage(
                    base64.b64decode(row["jpeg"], validate=True),
                    {name: [float(s) for s in scores] for name, scores in row["scores"].items()},
                    str(row.get("sha256", "")),
                )
                for row in json.loads(text)["images"]
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{REFERENCE_IMAGES_FILE} is damaged: {error}") from error
        return cls(images)

    def write(self, folder: Path) -> None:
        """Write the file into a folder; the same images and scores give the same bytes."""
        rows = [
            {
                "jpeg": base64.b64encode(image.content).decode(),
                "scores": image.scores,
                "sha256": image.sha256,
            }
            for image in self.images
        ]
        text = json.dumps({"images": rows}, indent=1, sort_keys=True)
        (folder / REFERENCE_IMAGES_FILE).write_text(text + "\n", encoding="utf-8")

    def expected(self, model_file: str) -> NDArray[np.float32]:
        """Return the expected probabilities of a model's file, ``float32 [images, classes]``.

        Raises:
            UserError: an image has none.
        """
        try:
            return np.array([image.scores[model_file] for image in self.images], np.float32)
        except (KeyError, ValueError) as error:
            raise UserError(f"{REFERENCE_IMAGES_FILE} has no scores of {model_file}") from error
