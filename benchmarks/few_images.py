"""How good a model few labelled images give: the compact network and the frozen backbone.

    python -m benchmarks.few_images --seeds 5

For each set, so many images of each class are drawn at random outside its test images; a quarter of
them validates. Each network is trained as ``train`` does by default, and evaluated on all test
images. The sets are frames of the simulated camera, the images of a porch (their test split is that
of the default split rule), and photos of clothing (``train/<class>/``, tested by
``validation/<class>/``). The last line is JSON: the mean accuracy and the worst seed's.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
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
from edge.inference.record import CROP, SQUASH
from steps.dataset.cache import Cache
from steps.dataset.split import TEST, TRAIN, VALIDATION, SplitRule
from steps.evaluation.predictions import keras_predict
from steps.training.feature_cache import Source, describe
from steps.training.fit import fit
from steps.training.head import add_head
from steps.training.model import build_model
from steps.training.networks import FROZEN
from steps.training.plan import Plan
from steps.training.ranks import SingleProcess

CLOTHING = PROJECT.parent / "shared" / "data" / "clothing"
SIZES = {"compact": 128, "efficientnet_lite0": 224}
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


def main() -> None:
    """Train each network on each number of images, and print what it gets right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--images", nargs="+", default=["10", "40", "all"], help="a class, or all")
    parser.add_argument("--networks", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, help="of the images; default: 128, the backbone's 224")
    parser.add_argument("--resizing", default=SQUASH, choices=[SQUASH, CROP])
    options = parser.parse_args()
    print(machine(), flush=True)
    results: dict[str, float] = {}
    for name in options.sets:
        images = SETS[name]()
        if images is None:
            print(f"NOT MEASURED: {name}, as its images are not here", flush=True)
            continue
        for network in options.networks:
            found = measure(images, network, options.size or SIZES[network], options)
            for count, right in found:
                cell = f"{name} {network} {count}"
                results |= {cell: round(statistics.mean(right), 4), f"{cell} worst": min(right)}
    print(json.dumps(results))


def measure(
    images: Images, network: str, side: int, options: argparse.Namespace
) -> Iterator[tuple[str, list[float]]]:
    """Yield the accuracy of each seed, for each number of images a class."""
    size = (side, side)
    pixels = np.stack([prepare(path, size, options.resizing) for path in images.paths])
    plan = Plan(network=network)
    for count in options.images:
        right = []
        for seed in range(options.seeds):
            parts = images.draw(None if count == "all" else int(count), seed)
            started = time.monotonic()
            predict = train(replace(plan, seed=seed), pixels, images, parts)
            found = predict(pixels[images.tests]).argmax(axis=1)
            right.append(round(float((found == images.classes[images.tests]).mean()), 4))
            print(
                f"{network} at {side}, {count} images a class, seed {seed}: {right[-1]:.4f} of "
                f"{len(found)} after {time.monotonic() - started:.0f} s",
                flush=True,
            )
        yield count, right


def train(plan: Plan, pixels: np.ndarray, images: Images, parts: tuple[np.ndarray, np.ndarray]):
    """Train a network on some of the images; return it as a function of pixels."""
    size = pixels.shape[1:3]
    source = Source(plan.network, size, plan.augmentation)
    with tempfile.TemporaryDirectory() as folder:
        groups, counts, statistic = {}, {}, {}
        for part, chosen in zip((TRAIN, VALIDATION), parts, strict=True):
            inputs, classes, column = pixels[chosen], images.classes[chosen], "pixels"
            if plan.network in FROZEN:
                copies = source.copies if part == TRAIN else 1
                inputs = describe(source, inputs, copies, plan.seed)
                classes, column = np.tile(classes, copies), "features"
                if part == TRAIN:
                    statistic = {"mean": inputs.mean(axis=0), "deviation": inputs.std(axis=0)}
            groups[part] = write_part(Path(folder), part, inputs, classes, column)
            of_class = np.bincount(classes, minlength=len(images.labels)).tolist()
            counts[part] = dict(zip(images.labels, of_class, strict=True))
        lists = {name: values.tolist() for name, values in statistic.items()}
        cache = Cache(folder, images.labels, size, groups, counts, **lists)
        fitted = fit(plan, cache, SingleProcess())
        model = build_model(plan, cache)
        model.set_weights(fitted.weights)
        model = add_head(model, plan, cache) if cache.has_features else model
    predict = keras_predict(model)
    return lambda some: np.concatenate(list(map(predict, np.array_split(some, len(some) // 16))))


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


SETS = {
    "simulated": partial(porch, SIMULATED),
    "porch": partial(porch, REAL),
    "clothing": clothing,
}

if __name__ == "__main__":
    main()
