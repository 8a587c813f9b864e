"""The self-test of a downloaded model: it is loaded, scores its reference images, and is timed."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from edge.inference.errors import UserError, describe_error
from edge.inference.prepare import PREPARE_VERSION, prepare
from edge.inference.record import INT8_FILE, MODEL_FILE, ModelRecord
from edge.inference.reference_images import REFERENCE_IMAGES_FILE, ReferenceImages
from edge.inference.scoring import Scorer
from edge.protocol.release import ReleaseError
from edge.update.load_errors import LOAD_ERRORS

SELF_TEST_FILE = "self_test.json"

TOLERANCE = {MODEL_FILE: 1e-3, INT8_FILE: 0.1}
"""The largest deviation of a probability from the expected one. Float scores agree to 1e-5 between
x86-64 and ARM; int8 kernels round differently between processors, which may add up."""

MIN_AGREEMENT, MAX_ACCURACY_LOSS = 0.98, 0.01
"""The record's metrics of int8 on the test split, without which it is not used."""

MIN_GAIN = 1.1
"""How many times as fast as float int8 has to be on this device; less is not worth its rounding."""

WARM_UP, ROUNDS = 2, 15
GREY = 128

SELF_TEST_ERRORS = (
    *LOAD_ERRORS,
    *(RuntimeError, ValueError, TypeError, IndexError, KeyError, MemoryError, OSError),
)
"""The errors of a damaged record, image or network."""


@dataclass(frozen=True)
class SelfTestResult:
    """The network that a device uses of a release, and why.

    Attributes:
        file: the network's file name.
        ms: median milliseconds per prepared image, by file.
        why: the reason, on one line.
    """

    file: str
    ms: dict[str, float]
    why: str

    @classmethod
    def read(cls, folder: Path) -> "SelfTestResult":
        """Read the result in a folder; without a readable one, the float model is used."""
        try:
            result = cls(**json.loads((folder / SELF_TEST_FILE).read_text(encoding="utf-8")))
            if result.file in list(TOLERANCE):
                return result
        except (FileNotFoundError, ValueError, TypeError):
            pass
        return cls(MODEL_FILE, {}, "no result of a self-test")

    def text(self) -> str:
        """Return the result as JSON."""
        return json.dumps(asdict(self), indent=2) + "\n"


def runtime_fingerprint() -> str:
    """Return the versions that a self-test depends on, besides the release and the device."""
    return f"prepare {PREPARE_VERSION}, onnxruntime {onnxruntime.__version__}"


def run_self_test(folder: Path, threads: int = 0) -> SelfTestResult:
    """Load a release's networks, compare their reference scores, time them, and select one.

    The float network has to pass. The int8 one is selected if it passes too, has reached
    ``MIN_AGREEMENT`` and lost at most ``MAX_ACCURACY_LOSS`` on the test split, and is ``MIN_GAIN``
    times as fast on this device.

    Args:
        folder: the files of a release. Without reference images, a grey image only shows that
            the network returns probabilities.
        threads: onnxruntime's intra-op threads, as later in use.

    Raises:
        ReleaseError: the float network fails.
    """
    reference = _reference_images(folder)
    scorer = _load_checked(folder, MODEL_FILE, reference, threads)
    try:
        _require_good_int8(folder, reference, scorer.record)
        int8 = _load_checked(folder, INT8_FILE, reference, threads)
    except ReleaseError as error:
        return SelfTestResult(MODEL_FILE, _measure_ms({MODEL_FILE: scorer}), f"int8: {error}")
    ms = _measure_ms({MODEL_FILE: scorer, INT8_FILE: int8})
    gain = ms[MODEL_FILE] / ms[INT8_FILE]
    file = INT8_FILE if gain >= MIN_GAIN else MODEL_FILE
    return SelfTestResult(file, ms, f"int8 is {gain:.2f} times as fast here")


def _reference_images(folder: Path) -> ReferenceImages | None:
    try:
        return ReferenceImages.read(folder) if (folder / REFERENCE_IMAGES_FILE).exists() else None
    except UserError as error:
        raise ReleaseError(f"the model fails its self-test: {error}") from error


def _load_checked(
    folder: Path, file: str, reference: ReferenceImages | None, threads: int
) -> Scorer:
    try:
        scorer = Scorer(folder, threads=threads, model_file=file)
        size = scorer.record.input_size
        grey = np.full((*size, 3), GREY, np.uint8)
        images = [grey] if reference is None else [image.content for image in reference.images]
        # one by one, as they were scored when they were released, and as frames will be
        predictions = [scorer.predict_prepared([prepare(image, size)])[0] for image in images]
        scores = np.array([list(found.probabilities.values()) for found in predictions])
        if reference is not None:
            _require_expected(scores, reference.expected(file), TOLERANCE[file])
    except (UserError, *SELF_TEST_ERRORS) as error:
        raise ReleaseError(f"the model fails its self-test: {describe_error(error)}") from error
    return scorer


def _require_good_int8(
    folder: Path, reference: ReferenceImages | None, record: ModelRecord
) -> None:
    if not (folder / INT8_FILE).exists():
        raise ReleaseError("the release has none")
    if reference is None:
        raise ReleaseError("there are no reference images to test it on")
    by_float, by_int8 = (record.file_metrics.get(file, {}) for file in (MODEL_FILE, INT8_FILE))
    agreement = by_int8.get("agreement", 0.0)
    if agreement < MIN_AGREEMENT:
        raise ReleaseError(f"it agrees with Keras on only {agreement:.1%} of the test split")
    loss = by_float.get("accuracy", 1.0) - by_int8.get("accuracy", 0.0)
    if loss > MAX_ACCURACY_LOSS:
        raise ReleaseError(f"its accuracy is {loss:.1%} lower")


def _require_expected(
    scores: NDArray[np.float64], expected: NDArray[np.float32], tolerance: float
) -> None:
    if scores.shape != expected.shape:
        raise ReleaseError(f"the reference scores have the shape {expected.shape}")
    difference = float(np.abs(scores - expected).max())
    if not difference <= tolerance:
        raise ReleaseError(
            f"a reference image's score is {difference:.2g} off, {tolerance:g} is allowed"
        )


def _measure_ms(scorers: dict[str, Scorer]) -> dict[str, float]:
    """Return median milliseconds per image; the files take turns, so a slow moment hits all."""
    some = next(iter(scorers.values()))
    pixels = np.random.default_rng(0).integers(0, 256, (1, *some.record.input_size, 3), np.uint8)
    ms: dict[str, list[float]] = {file: [] for file in scorers}
    for turn in range(WARM_UP + ROUNDS):
        for file, scorer in scorers.items():
            begin = time.perf_counter()
            scorer.score_prepared(pixels)
            if turn >= WARM_UP:
                ms[file].append(1000 * (time.perf_counter() - begin))
    return {file: round(float(np.median(times)), 3) for file, times in ms.items()}
