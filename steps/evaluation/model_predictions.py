"""What two registered versions say of the same held-out images."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.inference.record import MODEL_FILE, ModelRecord
from edge.inference.scoring import PREPARE_VERSION, Scorer
from steps.dataset.batches import pixels_of, row_groups
from steps.dataset.cache import Cache
from steps.dataset.split import TRAIN, VALIDATION, Split
from steps.evaluation.metrics import metrics_of
from steps.evaluation.promotion_rules import Paired
from steps.evaluation.slices import NIGHT
from steps.pipeline.outputs import Selection, TrainOutputs

if TYPE_CHECKING:
    import keras

LATENCY_RUNS = 51
COLUMNS = ["pixels", "label", "path", "sha256", "device_id", "captured_at"]


@dataclass(frozen=True)
class Judged:
    """A model's say on every image of a part, ordered by the images' SHA-256.

    Attributes:
        labels: the model's class names, in the order of its probabilities.
        sha256, paths, devices: which images, ``str [N]``.
        captured_at: ``datetime64 [N]``, UTC; NaT where it is not known.
        brightness: mean of the prepared pixels, 0–255.
        truth, said: the label that an image has and the one that it is given, ``str [N]``.
        probabilities: ``float32 [N, classes]``.
    """

    labels: list[str]
    sha256: np.ndarray
    paths: np.ndarray
    devices: np.ndarray
    captured_at: np.ndarray
    brightness: np.ndarray
    truth: np.ndarray
    said: np.ndarray
    probabilities: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """``bool [N]``."""
        return self.said == self.truth

    def metrics(self) -> dict[str, float]:
        """Those of :func:`steps.evaluation.metrics.metrics_of`, and the same of each slice.

        A slice's are named ``<metric>@<slice>``: ``day`` and ``night`` by brightness,
        ``device=<ID>``. A slice without an image is left out.
        """
        everything = np.ones(len(self.truth), bool)
        metrics = self._metrics_of(everything)
        for name, rows in self._slices().items():
            if rows.any():
                metrics |= {f"{k}@{name}": v for k, v in self._metrics_of(rows).items()}
        return metrics

    def _slices(self) -> dict[str, np.ndarray]:
        night = self.brightness < NIGHT
        devices = {f"device={device}": self.devices == device for device in set(self.devices)}
        return {"day": ~night, "night": night, **devices}

    def _metrics_of(self, rows: np.ndarray) -> dict[str, float]:
        return metrics_of(self.labels, self.probabilities[rows], self.truth[rows], self.said[rows])

    def seen_in(self, training: Selection) -> np.ndarray:
        """``bool [N]``: which images a training learned from, or was chosen by.

        By the rule of its split, which needs no more than the images themselves: those that
        were taken in after that training count too, where it would have had them.
        """
        split = Split(training.block_minutes, training.guard_minutes, training.split_seed)
        times = self.captured_at.astype("datetime64[us]").astype(object)  # NaT becomes None
        parts = map(split.part_of, times, self.devices, self.sha256)
        seen = np.array([part in (TRAIN, VALIDATION) for part in parts], bool)
        return seen & np.char.startswith(self.paths.astype(str), training.source + "/")

    def only(self, chosen: np.ndarray) -> "Judged":
        """What it says of some of the images: ``bool [N]``."""
        columns = {name: value[chosen] for name, value in vars(self).items() if name != "labels"}
        return replace(self, **columns)

    def against(self, champion: "Judged") -> Paired:
        """How the two did on the images, which have to be the same."""
        if not np.array_equal(self.sha256, champion.sha256):
            raise RuntimeError("the two models were shown different images")
        return Paired(
            images=len(self.sha256),
            lost=int((champion.right & ~self.right).sum()),
            won=int((self.right & ~champion.right).sum()),
        )


def judged(
    predict: Callable[[np.ndarray], np.ndarray], record: ModelRecord, cache: Cache, part: str
) -> Judged:
    """Show a model every image of a part.

    Args:
        predict: ``uint8 [N, H, W, 3]`` to probabilities ``[N, classes]``.
        record: decides on a label.
        cache: the images, prepared at the model's size.
        part: ``train``, ``validation`` or ``test``.
    """
    columns: list[tuple] = []
    for group in row_groups(cache, part, COLUMNS, None):
        pixels = pixels_of(group.pixels, cache)
        columns.append(
            (
                group.sha256,
                group.path,
                group.device_id,
                group.captured_at.astype("datetime64[us]"),
                pixels.mean(axis=(1, 2, 3)),
                np.array(cache.labels)[group.label],
                predict(pixels),
            )
        )
    *described, probabilities = map(np.concatenate, zip(*columns, strict=True))
    order = np.argsort(described[0])
    said = np.array(record.labels)[record.decide(probabilities)]
    return Judged(record.labels, *(column[order] for column in (*described, said, probabilities)))


def record_of(trained: TrainOutputs, **fields) -> ModelRecord:
    """The record of what a run of train left."""
    return ModelRecord(
        labels=trained.labels,
        input_size=trained.selection.input_size,
        prepare_version=PREPARE_VERSION,
        threshold=trained.threshold,
        **fields,
    )


def onnx_limits(model: "keras.Model", record: ModelRecord, folder: Path) -> dict[str, float]:
    """``onnx_bytes`` and ``latency_ms`` of a network's ONNX graph, which is written to a folder.

    The latency is the median over single prepared images, on one thread.
    """
    from steps.release.onnx_graph import to_onnx

    graph = folder / MODEL_FILE
    graph.write_bytes(to_onnx(model))
    record.write(folder)
    scorer = Scorer(folder, threads=1)
    image = np.random.default_rng(0).integers(0, 256, (1, *record.input_size, 3), np.uint8)
    seconds = []
    for _ in range(LATENCY_RUNS):
        started = time.perf_counter()
        scorer.score_prepared(image)
        seconds.append(time.perf_counter() - started)
    return {
        "onnx_bytes": graph.stat().st_size,
        "latency_ms": 1000 * statistics.median(seconds),
    }
