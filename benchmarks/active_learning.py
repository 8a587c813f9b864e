"""How many labels a network needs if images are labelled in an order of the page, not at random.

    python -m benchmarks.active_learning

Images of each set are described once by the frozen network. A seed draws four fifths of those that
do not test. They are labelled ten at a time: at random; the most typical ones of their clusters
first; or, after ten at random, those first of which a head is least sure. After each ten a head is
fitted to all labels so far, as cross-validation does, and evaluated on the test images. An order's
labels are those at which its mean accuracy over the seeds reaches what random labels reach with
``--compared``. The last line is JSON: for each set and order these labels (null: not within
``--most``), and by how many points the accuracy is above random's, the mean of all counts.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # when started by its path

from benchmarks.few_images import SETS, Images
from benchmarks.machine import machine
from edge.inference.prepare import prepare
from steps.labelling.describing import SIDE
from steps.labelling.similarity import find_clusters, project
from steps.training.cross_validation import predict_by_others
from steps.training.feature_cache import Source, compute_features
from steps.training.networks import FROZEN

STEP = 10


def main() -> None:
    """Label each set in each order, and print how many labels were needed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--most", type=int, default=100, help="labels, at most")
    parser.add_argument("--compared", type=int, default=50, help="labels of random to reach")
    options = parser.parse_args()
    print(machine(), flush=True)
    counts = np.arange(STEP, options.most + 1, STEP)
    results: dict[str, float | None] = {}
    for name in options.sets:
        images = SETS[name]()
        if images is None:
            print(f"NOT MEASURED: {name}, as its images are not here", flush=True)
            continue
        values = features(images)
        curves = {
            order: np.array(
                [
                    list(accuracies(images, values, order, counts, seed))
                    for seed in range(options.seeds)
                ]
            )
            for order in ORDERS
        }
        target = curves["random"].mean(axis=0)[options.compared // STEP - 1]
        for order, curve in curves.items():
            mean, spread = curve.mean(axis=0), curve.std(axis=0)
            reached = counts[mean >= target]
            results[f"{name}_{order}_labels"] = int(reached[0]) if len(reached) else None
            above = 100 * (mean - curves["random"].mean(axis=0)).mean()
            results[f"{name}_{order}_points"] = round(float(above), 2)
            shown = ", ".join(
                f"{count}: {mean[at]:.3f} ± {spread[at]:.3f}"
                for at, count in enumerate(counts)
                if count in (10, 20, 50, 100)
            )
            print(f"{name}, {order}: {shown}", flush=True)
    print(json.dumps(results))


def features(images: Images) -> np.ndarray:
    """The features of all images of a set, as the page has them: of a mean squared length of 1."""
    pixels = np.stack([prepare(path, (SIDE, SIDE)) for path in images.paths])
    values = compute_features(Source(FROZEN[0], (SIDE, SIDE), 0), pixels, copies=1, seed=0)
    values = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-3)
    return values / np.float32(values.shape[1] ** 0.5)


def accuracies(
    images: Images, values: np.ndarray, order: str, counts: np.ndarray, seed: int
) -> Iterator[float]:
    """The accuracy on the test images at each number of labels."""
    rng, tests = np.random.default_rng(seed), np.flatnonzero(images.tests)
    others = rng.permutation(np.flatnonzero(~images.tests))
    pool = others[: len(others) * 4 // 5]
    predict = partial(predict_by_others, values, images.classes, count=len(images.labels))
    choose = ORDERS[order](values, pool, predict)
    labelled = pool[:0]
    for count in counts:
        labelled = np.concatenate([labelled, choose(labelled)[: count - len(labelled)]])
        predicted = predict(labelled, tests).argmax(axis=1)
        yield float((predicted == images.classes[tests]).mean())


def at_random(_values: np.ndarray, pool: np.ndarray, _predict: Callable) -> Callable:
    """The pool is shuffled."""
    return lambda labelled: pool[len(labelled) :]


def typical(values: np.ndarray, pool: np.ndarray, _predict: Callable) -> Callable:
    """As the page orders them."""
    ordered = pool[find_clusters(project(values[pool])).typical]
    return lambda labelled: ordered[len(labelled) :]


def uncertain(_values: np.ndarray, pool: np.ndarray, predict: Callable) -> Callable:
    """The smallest margin between the two likeliest labels first, once there are labels."""

    def choose(labelled: np.ndarray) -> np.ndarray:
        left = pool[~np.isin(pool, labelled)]
        if not len(labelled):
            return left
        likely = np.sort(predict(labelled, left), axis=1)
        return left[np.argsort(likely[:, -1] - likely[:, -2], kind="stable")]

    return choose


ORDERS = {"random": at_random, "typical": typical, "uncertain": uncertain}

if __name__ == "__main__":
    main()
