"""The model's record, which travels with it: nothing about it is configured on the device."""

import json
import math
import os
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.inference.errors import AgentTooOldError, RecordError
from edge.inference.prediction import UNSURE, Prediction, calibrate, decide
from edge.inference.region import Region

MODEL_FILE = "model.onnx"
INT8_FILE = "model.int8.onnx"
"""The same network with 8-bit weights and activations: smaller, and faster on some processors."""
RECORD_FILE = "record.json"

SQUASH, CROP = "squash", "crop"
"""How ``prepare`` fits an image to the network's input."""

RECORD_VERSION = 1
"""Of the record's fields. A reader ignores fields that it does not know, unless they matter: then
the record requires a feature."""

FEATURES = dict.fromkeys(
    ("threshold", CROP, "region", "threshold_label", "abstention", "offsets"), "0.1.0"
)
"""What a record can require of its reader, and the version of the project whose agent first has it:
a new feature comes with a new version. A reader compares features by name; the version is what it
tells people."""


MAX_SIDE = 4096
"""Pixels of an input's width or height: a larger one would take a small device's memory."""


@dataclass(frozen=True)
class ModelRecord:
    """Everything a scorer has to know about a network.

    Attributes:
        labels: the class names, in the order of the network's output.
        input_size: (height, width) of the network's input in pixels.
        resizing: how ``prepare`` fits an image to it.
        prepare_version: the version of ``prepare`` that the network was trained with.
        source: where it came from: the registered Keras model's name and version, its run.
        metrics: test metrics at training time.
        files: SHA-256 by file name, for the files beside the record.
        file_metrics: what each network file reached on the test images, by file name.
        threshold: the probability from which an image is of one class, whatever the others have;
            None: the most probable class.
        threshold_label: that class; None: the second of two.
        abstention: the score below which the answer is :data:`UNSURE`; None: it never is.
        temperature: what softens the network's probabilities, by :func:`calibrate`, before they
            are reported and compared with ``abstention``; None: 1. It changes no class.
        offsets: what is added to each label's logit after that, for the same; None: 0. Nor do they.
        regions: the part of an image that ``prepare`` takes, by device ID, as
            :func:`edge.inference.region.region_of` reads them.
        names: what people call the labels, as far as they have such names.
    """

    labels: list[str]
    input_size: tuple[int, int]
    prepare_version: str
    source: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    file_metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    threshold: float | None = None
    threshold_label: str | None = None
    abstention: float | None = None
    temperature: float | None = None
    offsets: list[float] | None = None
    resizing: str = SQUASH
    regions: dict[str, Region] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> "ModelRecord":
        """Read ``record.json`` from a folder.

        Raises:
            AgentTooOldError: the record requires a feature that this code does not have.
            RecordError: it is damaged.
        """
        path = Path(folder) / RECORD_FILE
        try:
            stated = json.loads(path.read_text(encoding="utf-8"))
            lacking = {k: v for k, v in stated["requires"].items() if k not in FEATURES}
            if lacking:
                raise AgentTooOldError(lacking)
            stated["input_size"] = tuple(stated["input_size"])
            regions = stated.get("regions", {}).items()
            stated["regions"] = {device: Region.of(numbers) for device, numbers in regions}
            known = {one.name for one in fields(cls)}
            record = cls(**{name: value for name, value in stated.items() if name in known})
            record._require_sound()
        except AgentTooOldError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise RecordError(f"{path} is not a model record: {error}") from error
        if record.threshold is not None and not (
            record.threshold_label in record.labels
            or (record.threshold_label is None and len(record.labels) == 2)
        ):
            wrong = f"for the label {record.threshold_label}, and has {len(record.labels)} labels"
            raise RecordError(f"{path} has a threshold {wrong}")
        return record

    def _require_sound(self) -> None:
        """Raise ``ValueError`` or ``TypeError`` for a value of another type, or out of bounds."""
        labels, size = self.labels, self.input_size
        texts = [*labels, self.prepare_version]
        texts += [text for one in (self.source, self.files, self.names) for text in one.values()]
        numbers = [n for one in self.file_metrics.values() for n in one.values()]
        thresholds = [n for n in (self.threshold, self.abstention) if n is not None]
        temperatures = [] if self.temperature is None else [self.temperature]
        numbers += [*thresholds, *temperatures, *(self.offsets or [])]
        checks = {
            "labels": isinstance(labels, list)
            and 0 < len(set(labels)) == len(labels)
            and (self.abstention is None or UNSURE not in labels),
            "input_size": len(size) == 2
            and all(type(side) is int and 0 < side <= MAX_SIDE for side in size),
            "resizing": self.resizing in (SQUASH, CROP),
            "text": all(isinstance(text, str) for text in texts),
            "number": all(_is_number(number) and math.isfinite(number) for number in numbers),
            "metrics": all(map(_is_number, self.metrics.values())),
            "threshold": all(0 <= number <= 1 for number in thresholds),
            "temperature": all(number > 0 for number in temperatures),
            "offsets": self.offsets is None or len(self.offsets) == len(labels),
        }
        if wrong := [name for name, is_sound in checks.items() if not is_sound]:
            raise ValueError(f"it has no valid {', '.join(wrong)}")

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write ``record.json`` into a folder; the same record gives the same bytes."""
        used = ["threshold"] if self.threshold is not None else []
        used += ["threshold_label"] if self.threshold_label else []
        used += ["abstention"] if (self.abstention, self.temperature) != (None, None) else []
        used += ["offsets"] if self.offsets else []
        used += [self.resizing] if self.resizing != SQUASH else []
        used += ["region"] if self.regions else []
        stated = {"record_version": RECORD_VERSION, "requires": {k: FEATURES[k] for k in used}}
        own = {name: value for name, value in asdict(self).items() if value is not None}
        text = json.dumps(own | stated, indent=2, sort_keys=True, ensure_ascii=False)
        (Path(folder) / RECORD_FILE).write_text(text + "\n", encoding="utf-8")

    def describe(self, label: str) -> str:
        """Return a label as people read it, such as ``1 (package)``."""
        return f"{label} ({self.names[label]})" if label in self.names else label

    def decide(self, probabilities: NDArray[np.floating[Any]]) -> NDArray[np.integer[Any]]:
        """Return the class of each image by :func:`decide`, with the record's threshold."""
        return decide(probabilities, self.labels, self.threshold, self.threshold_label)

    def decode(
        self, probabilities: NDArray[np.floating[Any]], latency_ms: float = 0.0
    ) -> list[Prediction]:
        """Return the prediction for each image, by its probabilities ``[N, classes]``.

        Args:
            probabilities: a network's output.
            latency_ms: milliseconds that each image took.
        """
        decided = self.decide(probabilities)
        rows = calibrate(probabilities, self.temperature, self.offsets)
        scores = rows[np.arange(len(rows)), decided]
        is_unsure = scores < (self.abstention or 0)
        return [
            Prediction(
                UNSURE if unsure else self.labels[index],
                score,
                dict(zip(self.labels, row, strict=True)),
                latency_ms,
            )
            for index, score, unsure, row in zip(
                *(column.tolist() for column in (decided, scores, is_unsure, rows)), strict=True
            )
        ]

    def require_prepare(self, version: str) -> None:
        """Raise :class:`RecordError` if the network needs another ``prepare`` than this one."""
        if self.prepare_version != version:
            raise RecordError(
                f"the model was trained with prepare version {self.prepare_version}, "
                f"this scoring core has version {version}: update the edge folder"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
