"""A fetched model's trial on this device: it loads, scores its golden pictures, and is timed."""

import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors

from edge.errors import UserError
from edge.golden import GOLDEN_FILE, Golden, GoldenError
from edge.record import INT8_FILE, MODEL_FILE
from edge.release import ReleaseError
from edge.scoring import PREPARE_VERSION, Scorer, prepare_bytes

CHOICE_FILE = "choice.json"

TOLERANCE = {MODEL_FILE: 1e-3, INT8_FILE: 0.1}
"""How far a probability may be from the expected one. Float scores agree to 1e-5 between x86-64
and ARM; int8 kernels round and saturate differently between processors, by up to some hundredths
near the decision."""

MIN_AGREEMENT, MAX_ACCURACY_LOSS = 0.98, 0.01
"""What int8 has to reach on all held-out pictures, by the record, to be considered at all."""

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
"""What comes of a record, a picture or a network that is not what it should be."""


@dataclass(frozen=True)
class Choice:
    """Which of a release's files this device uses.

    Attributes:
        file: its name.
        ms: median milliseconds of one prepared picture, by file.
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


def tried_with() -> str:
    """What a trial depends on beside the release and the device."""
    return f"prepare {PREPARE_VERSION}, onnxruntime {onnxruntime.__version__}"


def tried(folder: Path, threads: int = 0) -> Choice:
    """Load a model's files, compare their golden scores, time them, and choose one.

    The float model has to pass. The int8 one is chosen where it passes too, reached
    ``MIN_AGREEMENT`` and lost no more than ``MAX_ACCURACY_LOSS`` on all held-out pictures, and
    is ``MIN_GAIN`` times as fast on this device.

    Args:
        folder: the files of a release. Without golden pictures, as in releases that had none,
            a grey picture shows only that probabilities come out.
        threads: as the model will be used.

    Raises:
        ReleaseError: the float model fails.
    """
    golden = _golden(folder)
    scorer = _passed(folder, MODEL_FILE, golden, threads)
    try:
        int8 = _passed_int8(folder, golden, threads, scorer)
    except ReleaseError as error:
        return Choice(MODEL_FILE, _timed({MODEL_FILE: scorer}), f"int8: {error}")
    ms = _timed({MODEL_FILE: scorer, INT8_FILE: int8})
    gain = ms[MODEL_FILE] / ms[INT8_FILE]
    chosen = INT8_FILE if gain >= MIN_GAIN else MODEL_FILE
    return Choice(chosen, ms, f"int8 is {gain:.2f} times as fast here")


def _golden(folder: Path) -> Golden | None:
    try:
        return Golden.read(folder) if (folder / GOLDEN_FILE).exists() else None
    except GoldenError as error:
        raise ReleaseError(f"the model fails its self-test: {error}") from error


def _passed(folder: Path, file: str, golden: Golden | None, threads: int) -> Scorer:
    try:
        scorer = Scorer(folder, threads=threads, model_file=file)
        height, width = scorer.record.input_size
        if golden is None:
            pixels = np.full((1, height, width, 3), GREY, np.uint8)
        else:
            pixels = np.stack([prepare_bytes(p.content, (height, width)) for p in golden.pictures])
        scores = np.concatenate([scorer.score_prepared(picture[None]) for picture in pixels])
        _require_probabilities(scores, (len(pixels), len(scorer.record.labels)))
        if golden is not None:
            _require_expected(scores, golden.expected(file), TOLERANCE[file])
    except (UserError, *TRIAL_ERRORS) as error:
        reason = " ".join(str(error).split())
        raise ReleaseError(f"the model fails its self-test: {reason}") from error
    return scorer


def _passed_int8(folder: Path, golden: Golden | None, threads: int, float_scorer: Scorer) -> Scorer:
    if not (folder / INT8_FILE).exists():
        raise ReleaseError("there is none")
    if golden is None:
        raise ReleaseError("there are no golden pictures to try it on")
    metrics = float_scorer.record.file_metrics
    by_float, by_int8 = metrics.get(MODEL_FILE, {}), metrics.get(INT8_FILE, {})
    agreement = by_int8.get("agreement", 0.0)
    if agreement < MIN_AGREEMENT:
        raise ReleaseError(f"says what Keras says on {agreement:.1%} of the held-out pictures only")
    loss = by_float.get("accuracy", 1.0) - by_int8.get("accuracy", 0.0)
    if loss > MAX_ACCURACY_LOSS:
        raise ReleaseError(f"its accuracy is {loss:.1%} lower")
    return _passed(folder, INT8_FILE, golden, threads)


def _require_probabilities(scores: np.ndarray, shape: tuple[int, int]) -> None:
    if scores.shape != shape or not np.allclose(scores.sum(axis=1), 1, atol=1e-3):
        raise ReleaseError(
            f"{scores.shape} {scores.ravel()[:4]} are no probabilities of {shape[1]} classes"
        )


def _require_expected(scores: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    if scores.shape != expected.shape:
        raise ReleaseError(f"the golden scores have the shape {expected.shape}")
    difference = float(np.abs(scores - expected).max())
    if not difference <= tolerance:
        raise ReleaseError(
            f"a golden picture's score is {difference:.2g} off, {tolerance:g} is allowed"
        )


def _timed(scorers: dict[str, Scorer]) -> dict[str, float]:
    """Median milliseconds a picture; the files take turns, so that a slow moment hits all."""
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
