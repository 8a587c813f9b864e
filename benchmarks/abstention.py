"""Whether the risk that a model promises holds, and how much it still answers.

    python -m benchmarks.abstention --images 10 40 --resamplings 200

For each set, a network is trained on so many labelled images of a class as ``train`` does by
default, without the last fit, as it ships with a threshold. It predicts images that it has never
seen: frames of the simulated camera from days after the training, the porch's test images, and
photos of clothing. In each resampling, images of these are drawn as the validation split, and a
calibration and a threshold are chosen by them for a promised risk, as ``-P max_risk`` does. The
promise holds if at most that share of the answers to all other images is wrong. The risk is the
plain error of the network divided by ``--factor``. The last line is JSON: the share of the
resamplings in which the promise holds, in the worst case of the simulated frames, and the mean
share answered; the same for the other sets by name.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.few_images import Images, clothing, porch
from benchmarks.images import REAL, SIMULATED
from benchmarks.int8_loss import train, write
from benchmarks.machine import machine
from edge.cameras.camera import CameraSettings
from edge.cameras.simulated import SimulatedCamera
from edge.inference.prepare import prepare
from edge.inference.record import CROP, SQUASH
from steps.dataset.split import TRAIN, VALIDATION
from steps.evaluation.abstention import abstain, scores_of
from steps.evaluation.predictions import Predictions
from steps.training.networks import sizes
from steps.training.plan import Plan

AFTER = datetime(2026, 9, 1, tzinfo=UTC)
"""When the fresh frames begin, weeks after those of the training."""


@dataclass(frozen=True)
class Found:
    """What a set's network gives.

    Attributes:
        error: the plain error on the fresh images.
        risk: that was promised.
        held: the share of resamplings in which it was kept.
        answered: the mean share of images that were answered.
        set: the share of resamplings that found a threshold.
        fresh: images that tell whether it was kept.
    """

    error: float
    risk: float
    held: float
    answered: float
    set: float
    fresh: int


def main() -> None:
    """Train, predict, and resample for each set and number of images."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--network", default="efficientnet_lite0")
    parser.add_argument("--images", nargs="+", type=int, default=[10, 40], help="of a class")
    parser.add_argument("--frames", type=int, default=7000, help="fresh ones, simulated")
    parser.add_argument("--validation", type=int, default=600, help="images that choose")
    parser.add_argument("--resamplings", type=int, default=200)
    parser.add_argument("--factor", type=float, default=2.0, help="plain error by promised risk")
    options = parser.parse_args()
    print(machine(), flush=True)
    results: dict[str, Found] = {}
    for name in options.sets:
        images = SETS[name][0]()
        if images is None:
            print(f"NOT MEASURED: {name}, as its images are not here", flush=True)
            continue
        for count in options.images:
            fresh = predict_fresh(name, images, count, options)
            found = resample(fresh, options, np.random.default_rng(count))
            results[f"{name}_n{count}"] = found
            print(f"{name}, {count} images a class: {found}", flush=True)
    simulated = [found for name, found in results.items() if name.startswith("simulated")]
    short = {f"{name}_risk_held": found.held for name, found in results.items()}
    short |= {f"{name}_answered": found.answered for name, found in results.items()}
    if simulated:
        short["risk_held"] = min(found.held for found in simulated)
        short["answered_share"] = min(found.answered for found in simulated)
    print(json.dumps(short))


def predict_fresh(
    name: str, images: Images, count: int, options: argparse.Namespace
) -> Predictions:
    """Train on some images of a set; return what is predicted for images that it has not seen."""
    plan = Plan(network=options.network)
    size, resizing = (sizes(plan.network)[-1],) * 2, SETS[name][1]
    parts = dict(zip((TRAIN, VALIDATION), images.draw(count, seed=0), strict=True))
    chosen = {
        part: np.stack([prepare(images.paths[n], size, resizing) for n in of])
        for part, of in parts.items()
    }
    classes = {part: images.classes[of] for part, of in parts.items()}
    with tempfile.TemporaryDirectory() as folder:
        pixels = write(Path(folder, "pixels"), images.labels, chosen, classes, "pixels")
        model = train(plan, pixels, chosen, classes, Path(folder, "features"))
    source: Iterable[tuple[np.ndarray, str]]
    if name == "simulated":
        source = simulated_frames(options.frames, size)
    else:
        rest = np.setdiff1d(np.arange(len(images.paths)), np.concatenate(list(parts.values())))
        source = (
            (prepare(images.paths[n], size, resizing), images.labels[images.classes[n]])
            for n in rest
        )
    rows, truth = [], []
    for pixels, labels in batches(source):
        rows.append(np.asarray(model(pixels, training=False)))
        truth += labels
    order = np.random.default_rng(0).permutation(len(truth))  # as by their hashes
    return predictions(images.labels, np.concatenate(rows)[order], np.array(truth)[order])


@cache
def simulated_frames(count: int, size: tuple[int, int]) -> list[tuple[np.ndarray, str]]:
    """Return frames of days after the training, prepared, with their labels."""
    camera = SimulatedCamera(CameraSettings(period=timedelta(minutes=11), start=AFTER, seed=7))
    frames = camera.frames(count)
    return [(prepare(frame.pixels, size), str(frame.label)) for frame in frames]


def batches(
    source: Iterable[tuple[np.ndarray, str]], size: int = 16
) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Yield pixels and labels of a few images at a time."""
    held: list[tuple[np.ndarray, str]] = []
    for one in source:
        held.append(one)
        if len(held) == size:
            yield np.stack([pixels for pixels, _ in held]), [label for _, label in held]
            held = []
    if held:
        yield np.stack([pixels for pixels, _ in held]), [label for _, label in held]


def predictions(labels: list[str], rows: np.ndarray, truth: np.ndarray) -> Predictions:
    """Return probabilities and true labels as the predictions of images."""
    numbers = np.arange(len(truth))
    sha256, times = numbers.astype(str), np.full(len(truth), np.datetime64("NaT", "us"))
    return Predictions(labels, rows, truth, sha256, sha256, sha256.astype(object), times, numbers)


def resample(fresh: Predictions, options: argparse.Namespace, rng: np.random.Generator) -> Found:
    """Choose a threshold by some of the images, again and again, and count the promises kept."""
    error = float((~fresh.correct).mean())
    # a network without a mistake has nothing to abstain from: it promises what it can show
    risk = max(error / options.factor, 3 / options.validation)
    validation = min(options.validation, len(fresh) // 2)
    held, answered, found = [], [], []
    for _ in range(options.resamplings):
        drawn = np.zeros(len(fresh), bool)
        drawn[rng.choice(len(fresh), validation, replace=False)] = True
        chosen, rest = abstain(risk, fresh.subset(drawn)), fresh.subset(~drawn)
        found.append(chosen.threshold is not None)
        if chosen.threshold is None:  # it promises nothing
            continue
        is_answered = scores_of(rest, chosen.calibration) >= chosen.threshold
        held.append((~rest.correct)[is_answered].sum() <= risk * is_answered.sum())
        answered.append(is_answered.mean())
    return Found(
        error=round(error, 4),
        risk=round(risk, 4),
        held=round(float(np.mean(held)), 3) if held else 1.0,
        answered=round(float(np.mean(answered)), 3) if answered else 0.0,
        set=round(float(np.mean(found)), 3),
        fresh=len(fresh) - validation,
    )


def real_porch() -> Images | None:
    """Return the porch's images."""
    return porch(REAL)


def simulated() -> Images | None:
    """Return the frames on which ``make run`` trains."""
    return porch(SIMULATED)


SETS = {
    "simulated": (simulated, SQUASH),
    "porch": (real_porch, SQUASH),
    "clothing": (clothing, CROP),
}

if __name__ == "__main__":
    main()
