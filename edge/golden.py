"""Golden pictures: a few that travel with a model, and what each of its files says of them.

A device that gets the same scores decodes, prepares and computes as the machine did that
released the model.
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.errors import UserError

GOLDEN_FILE = "golden.json"


class GoldenError(UserError):
    """The golden pictures are damaged."""


@dataclass(frozen=True)
class GoldenPicture:
    """An encoded picture and its expected probabilities, in the order of the record's labels, by
    the name of the model's file."""

    content: bytes
    scores: dict[str, list[float]]


@dataclass(frozen=True)
class Golden:
    """The golden pictures of a model."""

    pictures: tuple[GoldenPicture, ...]

    @classmethod
    def read(cls, folder: Path) -> "Golden":
        """Read ``golden.json`` from a folder; raises :class:`GoldenError` where it is damaged."""
        try:
            rows = json.loads((folder / GOLDEN_FILE).read_text(encoding="utf-8"))["pictures"]
            pictures = tuple(
                GoldenPicture(
                    base64.b64decode(row["jpeg"], validate=True),
                    {name: [float(s) for s in scores] for name, scores in row["scores"].items()},
                )
                for row in rows
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise GoldenError(f"{GOLDEN_FILE} is damaged: {error}") from error
        if not pictures:
            raise GoldenError(f"{GOLDEN_FILE} holds no picture")
        return cls(pictures)

    def write(self, folder: Path) -> None:
        """Write ``golden.json`` into a folder; the same pictures and scores give the same bytes."""
        rows = [
            {"jpeg": base64.b64encode(picture.content).decode(), "scores": picture.scores}
            for picture in self.pictures
        ]
        text = json.dumps({"pictures": rows}, indent=1, sort_keys=True)
        (folder / GOLDEN_FILE).write_text(text + "\n", encoding="utf-8")

    def expected(self, model_file: str) -> np.ndarray:
        """The expected probabilities of a model's file, ``float32 [pictures, classes]``.

        Raises:
            GoldenError: a picture has none.
        """
        try:
            return np.array([picture.scores[model_file] for picture in self.pictures], np.float32)
        except (KeyError, ValueError) as error:
            raise GoldenError(f"{GOLDEN_FILE} has no scores of {model_file}") from error
