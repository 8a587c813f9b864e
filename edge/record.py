"""The model's record, which travels with it: nothing about it is configured on the device."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

MODEL_FILE = "model.onnx"
RECORD_FILE = "record.json"


class RecordError(ValueError):
    """The record is damaged, or was written for another version of the scoring core."""


@dataclass(frozen=True)
class ModelRecord:
    """Everything a scorer has to know about a network.

    Attributes:
        labels: the class names, in the order of the network's output.
        input_size: (height, width) of the network's input in pixels.
        prepare_version: the version of ``edge.scoring.prepare`` the network was trained with.
        source: where it came from: the registered Keras model's name and version, its run.
        metrics: held-out metrics at training time.
        files: SHA-256 by file name, for the files beside the record.
    """

    labels: list[str]
    input_size: tuple[int, int]
    prepare_version: str
    source: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: str | os.PathLike) -> "ModelRecord":
        """Read ``record.json`` from a folder; raises :class:`RecordError` where it is damaged."""
        path = Path(folder) / RECORD_FILE
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**fields, "input_size": tuple(fields["input_size"])})
        except (ValueError, TypeError, KeyError) as error:
            raise RecordError(f"{path} is not a model record: {error}") from error

    def write(self, folder: str | os.PathLike) -> None:
        """Write ``record.json`` into a folder; the same record gives the same bytes."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False)
        (Path(folder) / RECORD_FILE).write_text(text + "\n", encoding="utf-8")

    def require_prepare(self, version: str) -> None:
        """Raise :class:`RecordError` where the network wants another ``prepare`` than this one."""
        if self.prepare_version != version:
            raise RecordError(
                f"the model was trained with prepare version {self.prepare_version}, "
                f"this scoring core has version {version}: update the edge folder"
            )


def sha256_of(path: str | os.PathLike) -> str:
    """The SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
