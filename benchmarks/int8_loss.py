"""What 8 bits cost: the int8 graph against the float one, on the same test images.

    python -m benchmarks.int8_loss --seeds 3

For each set, so many images of each class are drawn outside its test images, and a quarter of them
validates. Each network is trained as ``train`` does by default, both graphs are made as ``export``
makes them, and both score every test image. The sets are frames of the simulated camera, of which
the default split rule tests on some 380, and photos of clothing (341 in ``validation/<class>/``).
Milliseconds are medians of single images on one thread; seconds are those of a core. The last line
is JSON: the accuracy that int8 loses, in points, as the mean over the seeds of the worst set and
network, and the lowest agreement.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnxruntime

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.caches import write_part
from benchmarks.few_images import Images, clothing, porch
from benchmarks.images import PROJECT
from benchmarks.machine import machine
from edge.inference.prepare import prepare
from edge.inference.record import CROP, SQUASH
from steps.dataset.cache import Cache
from steps.dataset.split import TRAIN, VALIDATION
from steps.release.int8 import to_int8
from steps.release.onnx_graph import to_onnx
from steps.training.feature_cache import Source, compute_features
from steps.training.fit import fit
from steps.training.head import add_head
from steps.training.model import build_model
from steps.training.networks import FROZEN, sizes
from steps.training.plan import Plan
from steps.training.ranks import SingleProcess

FORTY_DAYS = PROJECT / "data" / "forty-days"
FRAMES = 1920
NETWORKS = ("compact", *FROZEN)
ROUNDS = 31


@dataclass(frozen=True)
class Loss:
    """What a training's int8 graph loses.

    Attributes:
        points: accuracy of the float graph less that of int8, in points.
        accuracy: of the float graph, and of int8.
        lost, won: test images that only the float graph, or only int8, gets right.
        agreement: the share of test images for which both predict the same.
        bytes, ms: of the float graph, and of int8.
        seconds: of a core that the quantisation took.
    """

    points: float
    accuracy: tuple[float, ...]
    lost: int
    won: int
    agreement: float
    bytes: tuple[int, ...]
    ms: tuple[float, ...]
    seconds: float


def main() -> None:
    """Train, quantise and compare, for each set, network and seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--images", type=int, default=40, help="of a class")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    print(machine(), flush=True)
    points, agreements = {}, []
    for name in options.sets:
        read, resizing = SETS[name]
        images = read()
        if images is None:
            print(f"NOT MEASURED: {name}, as its images are not here", flush=True)
            continue
        for network in options.networks:
            size = (sizes(network)[-1],) * 2
            pixels = np.stack([prepare(path, size, resizing) for path in images.paths])
            found = []
            for seed in range(options.seeds):
                plan = Plan(network=network, seed=seed)
                found.append(measure(plan, images, pixels, images.draw(options.images, seed)))
                print(f"{name}, {network}, seed {seed}: {asdict(found[-1])}", flush=True)
            points[f"{name} {network}"] = round(statistics.mean(one.points for one in found), 3)
            agreements += [one.agreement for one in found]
    worst = {"int8_loss_points": max(points.values()), "int8_agreement": min(agreements)}
    print(json.dumps(points | worst))


def measure(
    plan: Plan, images: Images, pixels: np.ndarray, parts: tuple[np.ndarray, np.ndarray]
) -> Loss:
    """Train on some of the images, and compare both graphs on the test images."""
    chosen = dict(zip((TRAIN, VALIDATION), parts, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        inputs = {part: pixels[of] for part, of in chosen.items()}
        classes = {part: images.classes[of] for part, of in chosen.items()}
        cache = write(Path(folder, "pixels"), images.labels, inputs, classes, "pixels")
        model = train(plan, cache, inputs, classes, Path(folder, "features"))
        graph = to_onnx(model)
        started = time.process_time()
        int8 = to_int8(graph, cache, Path(folder))
        seconds = time.process_time() - started
    tests = pixels[images.tests]
    sessions = [session(one) for one in (graph, int8)]
    answers = [
        np.array([run(tests[n : n + 1])[0].argmax() for n in range(len(tests))]) for run in sessions
    ]
    right = [found == images.classes[images.tests] for found in answers]
    lost, won = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
    return Loss(
        points=round(100 * (lost - won) / len(tests), 3),
        accuracy=tuple(round(float(of.mean()), 4) for of in right),
        lost=lost,
        won=won,
        agreement=round(float((answers[0] == answers[1]).mean()), 4),
        bytes=(len(graph), len(int8)),
        ms=milliseconds(sessions, tests[:1]),
        seconds=round(seconds, 1),
    )


def train(plan: Plan, cache: Cache, inputs: dict, classes: dict, folder: Path):
    """Train a network, or the head of a frozen one; return it, from pixels to probabilities."""
    if plan.network in FROZEN:
        source = Source(plan.network, cache.input_size, plan.augmentation)
        copies = {TRAIN: source.copies, VALIDATION: 1}
        features = {
            part: compute_features(source, inputs[part], copies[part], plan.seed) for part in copies
        }
        classes = {part: np.tile(classes[part], copies[part]) for part in copies}
        known = features[TRAIN]
        cache = replace(
            write(folder, cache.labels, features, classes, "features"),
            input_size=cache.input_size,
            mean=known.mean(axis=0).tolist(),
            deviation=known.std(axis=0).tolist(),
        )
    fitted = fit(plan, cache, SingleProcess())
    model = build_model(plan, cache)
    model.set_weights(fitted.weights)
    return add_head(model, plan, cache) if cache.has_features else model


def write(folder: Path, labels: list[str], inputs: dict, classes: dict, column: str) -> Cache:
    """Write a cache, by split."""
    groups = {
        part: write_part(folder, part, inputs[part], classes[part], column) for part in inputs
    }
    counts = {
        part: {label: int((of == number).sum()) for number, label in enumerate(labels)}
        for part, of in classes.items()
    }
    return Cache(str(folder), labels, inputs[TRAIN].shape[1:3], groups, counts)


def session(graph: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """Return a graph as a function on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    loaded = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return lambda pixels: loaded.run(None, {"pixels": pixels})[0]


def milliseconds(sessions: list[Callable], image: np.ndarray) -> tuple[float, ...]:
    """Return the median time of each, measured in turns."""
    taken: list[list[float]] = [[] for _ in sessions]
    for _ in range(ROUNDS):
        for run, times in zip(sessions, taken, strict=True):
            started = time.process_time()
            run(image)
            times.append(1000 * (time.process_time() - started))
    return tuple(round(statistics.median(times), 2) for times in taken)


def simulated() -> Images | None:
    """Return forty days of frames of the simulated camera."""
    if not FORTY_DAYS.is_dir():
        command = [sys.executable, "-m", "edge", "capture", "--to", str(FORTY_DAYS)]
        subprocess.run([*command, "--count", str(FRAMES)], cwd=PROJECT, check=True)
    return porch(FORTY_DAYS)


SETS = {"simulated": (simulated, SQUASH), "clothing": (clothing, CROP)}

if __name__ == "__main__":
    main()
