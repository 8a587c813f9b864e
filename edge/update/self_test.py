"""A fetched model's trial on this device: it loads, scores its reference images, and is timed."""

import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from edge.inference.errors import UserError
from edge.inference.record import INT8_FILE, MODEL_FILE
from edge.inference.reference_images import (
    REFERENCE_IMAGES_FILE,
    ReferenceImages,
    ReferenceImagesError,
)
from edge.inference.scoring import PREPARE_VERSION, Scorer
from edge.protocol.release import ReleaseError

CHOICE_FILE = "choice.json"

TOLERANCE = {MODEL_FILE: 1e-3, INT8_FILE: 0.1}
"""How far a probability may be from the expected one. Float scores agree to 1e-5 between x86-64
and ARM; int8 kernels round and saturate differently between processors, by up to some hundredths
near the decision."""

MIN_AGREEMENT, MAX_ACCURACY_LOSS = 0.98, 0.01
"""What int8 has to reach on all held-out images, by the record, to be considered at all."""

MIN_GAIN = 1.1
"""How many times as fast int8 has to be here; less is not worth its rounding."""

WARM_UP, ROUNDS = 2, 15
GREY = 128

UNLOADABLE = (
    onnxruntime_errors.Fail,
    onnxruntime_errors.InvalidArgument,
    onnxruntime_errors.InvalidGraph,
    onnxruntime_errors.InvalidProtobuf,
    onnxruntime_errors.NotImplemented,
    onnxruntime_errors.RuntimeException,
)
"""What onnxruntime raises for a model that it cannot run; the classes share no base."""

TRIAL_ERRORS = (
    *UNLOADABLE,
    *(RuntimeError, ValueError, TypeError, IndexError, KeyError, MemoryError, OSError),
)
"""What comes of a record, an image or a network that is not what it should be."""


@dataclass(frozen=True)
class Choice:
    """Which of a release's files this device uses.

    Attributes:
        file: its name.
        ms: median milliseconds of one prepared image, by file.
        why: on one line.
    """

    file: str
    ms: dict[str, float]
    why: str

    @classmethod
    def read(cls, folder: Path) -> "Choice":
        """The choice made in a folder; where none is readable, the float model."""
        try:
            choice = cls(**json.loads((folder / CHOICE_FILE).read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return cls(MODEL_FILE, {}, "no choice was made")
        return (
            choice if choice.file in list(TOLERANCE) else cls(MODEL_FILE, {}, "no choice was made")
        )

    def text(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def runtime_fingerprint() -> str:
    """What a trial depends on beside the release and the device."""
    return f"prepare {PREPARE_VERSION}, onnxruntime {onnxruntime.__version__}"


def tried(folder: Path, threads: int = 0) -> Choice:
    """Load a model's files, compare their reference scores, time them, and choose one.

    The float model has to pass. The int8 one is chosen where it passes too, reached
    ``MIN_AGREEMENT`` and lost no more than ``MAX_ACCURACY_LOSS`` on all held-out images, and
    is ``MIN_GAIN`` times as fast on this device.

    Args:
        folder: the files of a release. Without reference images, as in releases that had none,
            a grey image shows only that probabilities come out.
        threads: as the model will be used.

    Raises:
        ReleaseError: the float model fails.
    """
    reference = _reference_images(folder)
    scorer = _passed(folder, MODEL_FILE, reference, threads)
    try:
        int8 = _passed_int8(folder, reference, threads, scorer)
    except ReleaseError as error:
        return Choice(MODEL_FILE, _timed({MODEL_FILE: scorer}), f"int8: {error}")
    ms = _timed({MODEL_FILE: scorer, INT8_FILE: int8})
    gain = ms[MODEL_FILE] / ms[INT8_FILE]
    chosen = INT8_FILE if gain >= MIN_GAIN else MODEL_FILE
    return Choice(chosen, ms, f"int8 is {gain:.2f} times as fast here")


def _reference_images(folder: Path) -> ReferenceImages | None:
    try:
        return ReferenceImages.read(folder) if (folder / REFERENCE_IMAGES_FILE).exists() else None
    except ReferenceImagesError as error:
        raise ReleaseError(f"the model fails its self-test: {error}") from error


def _passed(folder: Path, file: str, reference: ReferenceImages | None, threads: int) -> Scorer:
    try:
        scorer = Scorer(folder, threads=threads, model_file=file)
        grey = np.full((*scorer.record.input_size, 3), GREY, np.uint8)
        images = [grey] if reference is None else [image.content for image in reference.images]
        # one by one, as they were scored when they were released, and as frames will be
        predictions = [scorer.predict([image])[0] for image in images]
        scores = np.array([list(found.probabilities.values()) for found in predictions])
        _require_probabilities(scores)
        if reference is not None:
            _require_expected(scores, reference.expected(file), TOLERANCE[file])
    except (UserError, *TRIAL_ERRORS) as error:
        reason = " ".join(str(error).split())
        raise ReleaseError(f"the model fails its self-test: {reason}") from error
    return scorer


def _passed_int8(
    folder: Path, reference: ReferenceImages | None, threads: int, float_scorer: Scorer
) -> Scorer:
    if not (folder / INT8_FILE).exists():
        raise ReleaseError("there is none")
    if reference is None:
        raise ReleaseError("there are no reference images to try it on")
    metrics = float_scorer.record.file_metrics
    by_float, by_int8 = metrics.get(MODEL_FILE, {}), metrics.get(INT8_FILE, {})
    agreement = by_int8.get("agreement", 0.0)
    if agreement < MIN_AGREEMENT:
        raise ReleaseError(f"says what Keras says on {agreement:.1%} of the held-out images only")
    loss = by_float.get("accuracy", 1.0) - by_int8.get("accuracy", 0.0)
    if loss > MAX_ACCURACY_LOSS:
        raise ReleaseError(f"its accuracy is {loss:.1%} lower")
    return _passed(folder, INT8_FILE, reference, threads)


def _require_probabilities(scores: np.ndarray) -> None:
    if not np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        raise ReleaseError(f"{scores[0]} are not probabilities: their sum is not 1")


def _require_expected(scores: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    if scores.shape != expected.shape:
        raise ReleaseError(f"the reference scores have the shape {expected.shape}")
    difference = float(np.abs(scores - expected).max())
    if not difference <= tolerance:
        raise ReleaseError(
            f"a reference image's score is {difference:.2g} off, {tolerance:g} is allowed"
        )


def _timed(scorers: dict[str, Scorer]) -> dict[str, float]:
    """Median milliseconds an image; the files take turns, so that a slow moment hits all."""
    some = next(iter(scorers.values()))
    pixels = np.random.default_rng(0).integers(0, 256, (1, *some.record.input_size, 3), np.uint8)
    ms: dict[str, list[float]] = {file: [] for file in scorers}
    for turn in range(WARM_UP + ROUNDS):
        for file, scorer in scorers.items():
            begin = time.perf_counter()
            scorer.score_prepared(pixels)
            if turn >= WARM_UP:
                ms[file].append(1000 * (time.perf_counter() - begin))
    return {file: round(statistics.median(times), 3) for file, times in ms.items()}
