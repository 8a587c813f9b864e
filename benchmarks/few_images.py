"""How good a model few labelled images give, by each network and by the one that tune would choose.

    python -m benchmarks.few_images --seeds 5

For each set, so many images of each class are drawn at random outside its test images; a quarter of
them validates. Each network is trained as ``train`` does by default, the frozen one on images
prepared as ``tune`` would, and evaluated on all test images; ``auto`` is the network with the lower
validation loss or, if few images validate, the frozen one. The sets are frames of the simulated
camera, the images of a porch (their test split is that of the default split rule), and photos of
clothing (``train/<class>/``, tested by ``validation/<class>/``). The last line is JSON: the mean
accuracy and the worst seed's; and by how many points auto is below the better network, on the mean
of all sets and numbers of images; and what the frozen network loses in 8 bits, by
``benchmarks.int8_loss``.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.caches import write_part
from benchmarks.images import PROJECT, REAL, SIMULATED, images_folder
from benchmarks.machine import machine
from edge.inference.prepare import prepare
from steps.dataset.cache import FEW, Cache
from steps.dataset.selection import NetworkInput
from steps.dataset.split import TEST, TRAIN, VALIDATION, SplitRule
from steps.evaluation.metrics import log_loss
from steps.training.cross_validation import cross_validate
from steps.training.feature_cache import REST, Features, Source, compute_features
from steps.training.last_fit import fit_fully
from steps.training.model import build_model
from steps.training.networks import FROZEN, sizes
from steps.training.plan import Plan
from steps.training.plan_parameters import NetworkParameters
from steps.training.ranks import SingleProcess
from steps.tuning.contest import best_way

CLOTHING = PROJECT.parent / "shared" / "data" / "clothing"
SHORT = {
    "simulated_default": "simulated auto all",
    "porch_default": "porch auto all",
    "clothing_n10": "clothing auto 10",
    "clothing_n40": "clothing auto 40",
}
"""The short names of some results."""

VALIDATING = 4
"""One image of so many validates."""


@dataclass(frozen=True)
class Images:
    """The files of a set, their classes, and which of them test."""

    paths: list[Path]
    classes: np.ndarray
    tests: np.ndarray
    labels: list[str]

    def draw(self, count: int | None, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of images that train, and of those that validate."""
        rng = np.random.default_rng(seed)
        drawn = [
            rng.permutation(np.flatnonzero(~self.tests & (self.classes == label)))[:count]
            for label in range(len(self.labels))
        ]
        validate = np.concatenate([of_class[::VALIDATING] for of_class in drawn])
        return rng.permutation(np.setdiff1d(np.concatenate(drawn), validate)), validate


@dataclass(frozen=True)
class Trained:
    """What a training gave: its accuracy on the test images, and its lowest validation loss."""

    accuracy: float
    loss: float


def main() -> None:
    """Train each network on each number of images, and print what it gets right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--images", nargs="+", default=["10", "40", "all"], help="a class, or all")
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    print(machine(), flush=True)
    results: dict[str, float] = {}
    regrets: list[float] = []
    for name in options.sets:
        images = SETS[name]()
        if images is None:
            print(f"NOT MEASURED: {name}, as its images are not here", flush=True)
            continue
        trainers = {network: NETWORKS[network](images) for network in options.networks}
        for count in options.images:
            found = measure(trainers, images, count, options.seeds)
            found["auto"] = choose(found, count)
            means = {}
            for network, trained in found.items():
                right = [one.accuracy for one in trained]
                means[network] = statistics.mean(right)
                cell = f"{name} {network} {count}"
                results |= {cell: round(means[network], 4), f"{cell} worst": min(right)}
            regrets.append(100 * (max(means.values()) - means["auto"]))
            print(f"{name}, {count} images a class: {means}", flush=True)
    short = {name: results[cell] for name, cell in SHORT.items() if cell in results}
    short["auto_regret"] = round(statistics.mean(regrets), 2)
    print(json.dumps(results | short | int8_loss()))


def choose(found: dict[str, list[Trained]], count: str) -> list[Trained]:
    """Return of each draw what ``tune`` would choose: see ``steps.tuning.contest``."""
    few = count != "all" and -(-int(count) // VALIDATING) < FEW
    names = [name for name in found if name in FROZEN] if few else []
    of_draws = zip(*(found[name] for name in names or found), strict=True)
    return [min(of_draw, key=lambda one: one.loss) for of_draw in of_draws]


def int8_loss() -> dict[str, float]:
    """Measure what the frozen network loses in 8 bits, by the program for that."""
    command = [sys.executable, "-m", "benchmarks.int8_loss", "--networks", *FROZEN]
    done = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    print(done.stdout, flush=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {"int8_loss_points": found["int8_loss_points"]}


def measure(
    trainers: dict[str, Callable], images: Images, count: str, seeds: int
) -> dict[str, list[Trained]]:
    """Train each network on as many images of a class, drawn by each seed."""
    found: dict[str, list[Trained]] = {network: [] for network in trainers}
    for seed in range(seeds):
        parts = images.draw(None if count == "all" else int(count), seed)
        for network, train in trainers.items():
            started = time.monotonic()
            found[network].append(train(parts, seed))
            print(
                f"{network}, {count} images a class, seed {seed}: "
                f"{found[network][-1].accuracy:.4f} after {time.monotonic() - started:.0f} s",
                flush=True,
            )
    return found


def compact(images: Images):
    """Return how the compact network is trained on some of the images."""
    plan = Plan()
    side = sizes(plan.network)[-1]
    pixels = np.stack([prepare(path, (side, side)) for path in images.paths])

    def train(parts: tuple[np.ndarray, np.ndarray], seed: int) -> Trained:
        with tempfile.TemporaryDirectory() as folder:
            inputs = dict(zip((TRAIN, VALIDATION), (pixels[part] for part in parts), strict=True))
            classes = dict(zip(inputs, (images.classes[part] for part in parts), strict=True))
            cache = write(Path(folder), images, inputs, classes, (side, side))
            return evaluate(replace(plan, seed=seed), cache, pixels, images)

    return train


def frozen(images: Images):
    """Return how a head is trained on the features of some of the images.

    Each image and its copies are described once, for all seeds.
    """
    plan = Plan(network="efficientnet_lite0")
    described = {}
    (ways,) = NetworkParameters(network=plan.network).network_inputs([])
    for way in ways:
        size = (way.input_size,) * 2
        source = Source(plan.network, size, plan.augmentation)
        pixels = np.stack([prepare(path, size, way.resizing) for path in images.paths])
        features = compute_features(source, pixels, source.copies, seed=0)
        described[way] = features.reshape(source.copies, len(pixels), -1)

    def train(parts: tuple[np.ndarray, np.ndarray], seed: int) -> Trained:
        rest = np.concatenate(parts)

        def loss(way: NetworkInput) -> float:
            captures = [(None, None, str(number)) for number in rest]
            known = Features(described[way][0, rest], images.classes[rest], captures)
            return log_loss(cross_validate(known, SplitRule(seed=seed)), known.classes)

        way = best_way(ways, loss)
        copied, size = described[way], (way.input_size,) * 2
        inputs = {
            TRAIN: np.concatenate(copied[:, parts[0]]),
            VALIDATION: copied[0, parts[1]],
            REST: np.concatenate(copied[:, rest]),
        }
        chosen = zip((TRAIN, VALIDATION, REST), (*parts, rest), strict=True)
        classes = {part: np.resize(images.classes[of], len(inputs[part])) for part, of in chosen}
        values = inputs[TRAIN]
        statistic = {"mean": values.mean(axis=0).tolist(), "deviation": values.std(axis=0).tolist()}
        with tempfile.TemporaryDirectory() as folder:
            cache = write(Path(folder), images, inputs, classes, size, **statistic)
            return evaluate(replace(plan, seed=seed), cache, copied[0], images)

    return train


def write(folder: Path, images: Images, inputs, classes, size, **statistic) -> Cache:
    """Write a cache of pixels or features, by split."""
    column = "features" if statistic else "pixels"
    groups = {one: write_part(folder, one, inputs[one], classes[one], column) for one in inputs}
    counts = {
        part: {label: int((of == number).sum()) for number, label in enumerate(images.labels)}
        for part, of in classes.items()
    }
    return Cache(str(folder), images.labels, size, groups, counts, **statistic)


def evaluate(plan: Plan, cache: Cache, inputs: np.ndarray, images: Images) -> Trained:
    """Train as ``train`` does, and evaluate on the test images among the inputs."""
    fitted = fit_fully(plan, cache, SingleProcess())
    model = build_model(plan, cache)
    model.set_weights(fitted.shipped())
    tests = inputs[images.tests]
    batches = np.array_split(tests, len(tests) // 16)
    found = np.concatenate([np.asarray(model(batch, training=False)) for batch in batches])
    right = (found.argmax(axis=1) == images.classes[images.tests]).mean()
    return Trained(round(float(right), 4), min(one["validation_loss"] for one in fitted.epochs))


def porch(folder: Path) -> Images | None:
    """Return images whose names tell their labels, tested by the default split."""
    if folder == SIMULATED:
        images_folder(folder)
    paths = sorted(folder.glob("*.jpg"))
    if not paths:
        return None
    names = [unquote(path.name) for path in paths]
    captures = [(datetime.fromisoformat(n[:19]), n.split("_")[3], n) for n in names]
    splits = np.array(SplitRule().assign(captures))
    kept = np.flatnonzero(np.isin(splits, (TRAIN, VALIDATION, TEST)))
    classes = np.array([int(path.stem[-1]) for path in paths])
    return Images([paths[n] for n in kept], classes[kept], splits[kept] == TEST, ["0", "1"])


def clothing() -> Images | None:
    """Return photos in folders of their classes, below folders of their splits."""
    paths = sorted(CLOTHING.glob("*/*/*.jpg"))
    if not paths:
        return None
    labels = sorted({path.parent.name for path in paths})
    classes = np.array([labels.index(path.parent.name) for path in paths])
    return Images(paths, classes, np.array([p.parts[-3] != TRAIN for p in paths]), labels)


NETWORKS = {"compact": compact, "efficientnet_lite0": frozen}
SETS = {
    "simulated": partial(porch, SIMULATED),
    "porch": partial(porch, REAL),
    "clothing": clothing,
}

if __name__ == "__main__":
    main()
